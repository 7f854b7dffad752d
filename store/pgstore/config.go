package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/internal/loopback"
)

// Defaults for parameters that the data source name does not set. The package
// documentation gives the reasons.
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

// A config is the configuration of a pool.
type config struct {
	pool  *pgxpool.Config
	named map[string]string // the parameters in the data source name
}

func configure(dsn string, opts *Options) (*config, error) {
	if opts.MaxConns < 0 || opts.MaxConns > math.MaxInt32 {
		return nil, fmt.Errorf("Options.MaxConns: %d is out of range", opts.MaxConns)
	}
	if namesNothing(dsn) {
		return nil, errors.New("the data source name is empty, and keys must not end up in the server's default database; " +
			"name a server or a database, such as postgres://app@db.example.com/app or dbname=app")
	}
	// pgxpool removes its own parameters, so pgconn parses the name too.
	given, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	if given.Database == "" && !namesServer(dsn) {
		return nil, errors.New("the data source name names no server and no database, and keys must not end up in the server's default database; " +
			"name one of them, such as host=db.example.com or dbname=app")
	}
	pool, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	if !opts.InsecureNoTLS {
		if err := checkTLS(pool.ConnConfig); err != nil {
			return nil, fmt.Errorf("the data source name allows %w", err)
		}
	}
	c := &config{pool, given.RuntimeParams}
	c.setDefaults(opts)
	return c, nil
}

// checkTLS returns an error if a connection to another machine may be made without
// TLS. With sslmode allow or prefer, a connection without TLS is one of several
// attempts; prefer is the default.
func checkTLS(c *pgx.ConnConfig) error {
	tried := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, f := range tried {
		network, _ := pgconn.NetworkAddress(f.Host, f.Port)
		if f.TLSConfig == nil && network != "unix" && !loopback.Is(f.Host) {
			return fmt.Errorf("a connection to %s without TLS; add sslmode=verify-full, or see Options.InsecureNoTLS", f.Host)
		}
	}
	return nil
}

// namesNothing reports whether a data source name names no server and no database,
// for example because an environment variable is not set.
func namesNothing(dsn string) bool {
	dsn = strings.TrimSpace(dsn)
	dsn = strings.TrimPrefix(strings.TrimPrefix(dsn, "postgres://"), "postgresql://")
	return strings.Trim(dsn, "/@?") == ""
}

// hostNamed matches data source names with a host or a service.
var hostNamed = regexp.MustCompile(`(?:^|[\s?&])(?:host|service)\s*=\s*[^\s&]` +
	`|^\s*postgres(?:ql)?://(?:[^/?]*@)?[^/?@:][^/?@]*(?:[/?]|$)`)

// namesServer reports whether a data source name, or the environment, names a server.
func namesServer(dsn string) bool {
	return hostNamed.MatchString(dsn) || os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != ""
}

func (c *config) setDefaults(opts *Options) {
	c.pool.MaxConns = choose(c, "pool_max_conns", c.pool.MaxConns, maxConns)
	if opts.MaxConns > 0 {
		c.pool.MaxConns = choose(c, "pool_max_conns", c.pool.MaxConns, int32(opts.MaxConns))
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

// choose returns the given value if the data source name sets the parameter, and the
// other value if it does not.
func choose[T any](c *config, name string, given, otherwise T) T {
	if _, ok := c.named[name]; ok {
		return given
	}
	return otherwise
}

// takesWrites refuses servers that are read-only: a standby lags, so revoked keys
// would be accepted. It runs on every new connection, so that the pool follows a
// failover.
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

// unreadable removes the data source name from pgx's error. pgx can only guess
// which part of a malformed name is the password.
func unreadable(err error) error {
	text, detail := err.Error(), ""
	if inner := errors.Unwrap(err); inner != nil {
		detail = ": " + inner.Error()
		text = strings.TrimSuffix(text, " ("+inner.Error()+")")
	}
	reason := text[strings.LastIndex(text, "`: ")+len("`: "):]
	if strings.HasPrefix(reason, "failed to parse as") {
		detail = "; want a URL such as postgres://app@db.example.com/app, or keywords and values such as host=db.example.com dbname=app"
	}
	return fmt.Errorf("invalid data source name: %s%s", reason, detail)
}

// adapt connects to the server and sets the parameters that depend on whether there
// is a pooler.
func (c *config) adapt(ctx context.Context) error {
	pooled, err := examine(ctx, c.pool.ConnConfig)
	if err != nil {
		return err
	}
	mode, named := c.named["default_query_exec_mode"]
	switch {
	case pooled && !named:
		// A pooler may run each transaction in another session. A named prepared
		// statement would stay in the old session.
		c.pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	case pooled && mode == "describe_exec":
		// Another client may get the session between describing and running. Its
		// statement would then run instead.
		return errors.New("default_query_exec_mode=describe_exec can run other clients' statements behind a pooler; remove it, or use cache_describe")
	case !pooled:
		// A pooler refuses parameters that it does not know.
		const name = "idle_in_transaction_session_timeout"
		params := c.pool.ConnConfig.RuntimeParams
		params[name] = choose(c, name, params[name], idleInTx)
	}
	return nil
}
