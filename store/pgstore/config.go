package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/internal/loopback"
)

// What holds unless the data source name says otherwise. The package comment
// gives the reasons.
const (
	maxConns       = 10
	connectTimeout = 5 * time.Second
	pingTimeout    = 500 * time.Millisecond
	lifetime       = 30 * time.Minute
	lifetimeJitter = 5 * time.Minute
	idleTime       = 3 * time.Minute
	healthCheck    = 30 * time.Second
	application    = "keyhatch"
	idleInTx       = "10s"
)

// A config is how to connect.
type config struct {
	pool  *pgxpool.Config
	named map[string]string // the parameters that the data source name gives
}

func configure(dsn string, o *Options) (*config, error) {
	if o.MaxConns < 0 || o.MaxConns > math.MaxInt32 {
		return nil, fmt.Errorf("Options.MaxConns: %d is not a number of connections", o.MaxConns)
	}
	if namesNothing(dsn) {
		return nil, errors.New("the data source name is empty, and the server's default database is no place for keys; " +
			"name a server or a database, such as postgres://app@db.example.com/app or dbname=app")
	}
	// pgxpool takes its own parameters out; pgconn alone leaves them to be seen.
	given, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	pool, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	if !o.InsecureNoTLS {
		if err := checkTLS(pool.ConnConfig); err != nil {
			return nil, fmt.Errorf("the data source name: %w", err)
		}
	}
	c := &config{pool, given.RuntimeParams}
	c.setDefaults(o)
	return c, nil
}

// checkTLS returns an error if a connection may be made without TLS to another
// machine. With sslmode allow and prefer, which is what holds without one, that
// is one of several that are tried.
func checkTLS(c *pgx.ConnConfig) error {
	tried := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, f := range tried {
		network, _ := pgconn.NetworkAddress(f.Host, f.Port)
		if f.TLSConfig == nil && network != "unix" && !loopback.Is(f.Host) {
			return fmt.Errorf("it allows a connection to %s without TLS; add sslmode=verify-full, or see Options.InsecureNoTLS", f.Host)
		}
	}
	return nil
}

// namesNothing reports whether a data source name leaves everything to defaults,
// as that of a variable that is not set does.
func namesNothing(dsn string) bool {
	dsn = strings.TrimSpace(dsn)
	dsn = strings.TrimPrefix(strings.TrimPrefix(dsn, "postgres://"), "postgresql://")
	return strings.Trim(dsn, "/@?") == ""
}

func (c *config) setDefaults(o *Options) {
	c.pool.MaxConns = choose(c, "pool_max_conns", c.pool.MaxConns, maxConns)
	if o.MaxConns > 0 {
		c.pool.MaxConns = choose(c, "pool_max_conns", c.pool.MaxConns, int32(o.MaxConns))
	}
	c.pool.PingTimeout = choose(c, "pool_ping_timeout", c.pool.PingTimeout, pingTimeout)
	c.pool.MaxConnLifetime = choose(c, "pool_max_conn_lifetime", c.pool.MaxConnLifetime, lifetime)
	c.pool.MaxConnLifetimeJitter = choose(c, "pool_max_conn_lifetime_jitter", c.pool.MaxConnLifetimeJitter, lifetimeJitter)
	c.pool.MaxConnIdleTime = choose(c, "pool_max_conn_idle_time", c.pool.MaxConnIdleTime, idleTime)
	c.pool.HealthCheckPeriod = choose(c, "pool_health_check_period", c.pool.HealthCheckPeriod, healthCheck)

	conn := c.pool.ConnConfig
	conn.RuntimeParams["application_name"] = choose(c, "application_name", conn.RuntimeParams["application_name"], application)
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	conn.ValidateConnect = takesWrites(conn.ValidateConnect)
}

// choose prefers what the data source name gives.
func choose[T any](c *config, name string, given, otherwise T) T {
	if _, ok := c.named[name]; ok {
		return given
	}
	return otherwise
}

// takesWrites refuses servers that only read: a standby lags, and would go on
// admitting keys after they were revoked. It runs on every new connection, so
// that the pool follows a failover.
func takesWrites(also pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if also != nil {
			if err := also(ctx, conn); err != nil {
				return err
			}
		}
		err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn)
		if errors.Is(err, pgconn.ErrReadOnlyConnection) {
			return fmt.Errorf("%w: the server is a standby, or default_transaction_read_only is on", err)
		}
		return err
	}
}

// unreadable leaves out of pgx's error what quotes the data source name: which
// part of a malformed one is the password, pgx can only guess.
func unreadable(err error) error {
	text, detail := err.Error(), ""
	if inner := errors.Unwrap(err); inner != nil {
		detail = ": " + inner.Error()
		text = strings.TrimSuffix(text, " ("+inner.Error()+")")
	}
	reason := text[strings.LastIndex(text, "`: ")+len("`: "):]
	if strings.HasPrefix(reason, "failed to parse as") {
		detail = ""
	}
	return fmt.Errorf("the data source name: %s%s", reason, detail)
}

// adapt asks the server, or what stands before it, and sets what follows.
func (c *config) adapt(ctx context.Context) error {
	pooled, err := examine(ctx, c.pool.ConnConfig)
	if err != nil {
		return err
	}
	mode, named := c.named["default_query_exec_mode"]
	switch {
	case pooled && !named:
		// A pooler may give each transaction another session, and a statement
		// that was prepared under a name stays behind in the old one.
		c.pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	case pooled && mode == "describe_exec":
		// Between describing and running, the session may become another
		// client's, and what runs is then the statement of that one.
		return errors.New("default_query_exec_mode=describe_exec can run other clients' statements behind a pooler; leave it out, or name cache_describe")
	case !pooled:
		// A pooler refuses parameters that it does not know.
		const name = "idle_in_transaction_session_timeout"
		params := c.pool.ConnConfig.RuntimeParams
		params[name] = choose(c, name, params[name], idleInTx)
	}
	return nil
}
