package rediscache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/loopback"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Defaults of parameters of the URL. The package comment gives the reasons.
const (
	dialTimeout = time.Second
	idleTime    = 3 * time.Minute
)

// callTimeout bounds a Publish, and each step of connecting.
const callTimeout = time.Second

// maxConns is more than any pool needs. go-redis panics if the number is much larger.
const maxConns = 100_000

func configure(address string, opts *Options) (*redis.Options, error) {
	if address == "" {
		return nil, errors.New("the URL: it is empty, want redis://, rediss:// or unix://; is the environment variable set?")
	}
	options, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("the URL: %w", err)
	}
	for name, n := range map[string]int{
		"pool_size": options.PoolSize, "max_concurrent_dials": options.MaxConcurrentDials, "db": options.DB,
		"min_idle_conns": options.MinIdleConns, "max_idle_conns": options.MaxIdleConns, "max_active_conns": options.MaxActiveConns,
	} {
		if n < 0 || n > maxConns {
			return nil, fmt.Errorf("the URL: %s: got %d, want 0 to %d", name, n, maxConns)
		}
	}
	if opts.Cluster && (options.Network != "tcp" || options.DB != 0) {
		return nil, errors.New("the URL: with Options.Cluster it must name a host and no database other than 0")
	}
	if options.TLSConfig != nil && options.TLSConfig.InsecureSkipVerify && !opts.InsecureNoTLS {
		return nil, errors.New("the URL: with skip_verify any server is accepted, so TLS protects nothing; " +
			"give Options.TLS the certificates to trust, or see Options.InsecureNoTLS")
	}
	if err := setTLS(options, opts); err != nil {
		return nil, err
	}
	if options.TLSConfig == nil && !opts.InsecureNoTLS && options.Network == "tcp" {
		if err := checkLocal(options.Addr); err != nil {
			return nil, fmt.Errorf("the URL: %w", err)
		}
		dial := redis.NewDialer(options)
		// A cluster reports the addresses of its other nodes, so check each.
		options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := checkLocal(address); err != nil {
				return nil, err
			}
			return dial(ctx, network, address)
		}
	}
	settle(options, opts.Timeout)
	return options, nil
}

// checkLocal returns an error for an address that is not on this machine.
func checkLocal(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err == nil && !loopback.Is(host) {
		err = fmt.Errorf("redis:// would send the password and the records of keys to %s unencrypted; use rediss://, or see Options.InsecureNoTLS", host)
	}
	return err
}

var schemes = []string{"redis", "rediss", "unix"}

// parse calls redis.ParseURL. Its errors quote parts of the URL. If the URL has no @, or if its
// only @ ends the password, these parts contain nothing of the password. Otherwise parse hides
// the error.
func parse(address string) (*redis.Options, error) {
	if scheme, _, _ := strings.Cut(address, "://"); !slices.Contains(schemes, strings.ToLower(scheme)) {
		return nil, errors.New("must begin with redis://, rediss:// or unix://, as in redis://localhost:6379")
	}
	u, err := url.Parse(address)
	if err != nil || strings.Contains(address, "#") {
		return nil, errors.New("cannot be read; special characters in a password must be percent-encoded")
	}
	options, err := redis.ParseURL(address)
	switch {
	case err == nil && u.Scheme != "unix" && u.Hostname() == "":
		return nil, errors.New("names no host; write redis://localhost for this machine")
	case err == nil:
		return options, nil
	case u.User != nil && strings.Count(address, "@") == 1, !strings.Contains(address, "@"):
		return nil, err
	}
	return nil, errors.New("has an @ in the wrong place; special characters in a password must be percent-encoded")
}

func setTLS(options *redis.Options, opts *Options) error {
	if opts.TLS == nil {
		return nil
	}
	if options.TLSConfig == nil {
		return errors.New("Options.TLS: the URL does not begin with rediss://")
	}
	config := opts.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = options.TLSConfig.ServerName
	}
	options.TLSConfig = config
	return nil
}

// settle sets the options that the URL cannot set, and the defaults of the others.
func settle(options *redis.Options, timeout time.Duration) {
	if options.DialTimeout <= 0 {
		options.DialTimeout = dialTimeout
	}
	if options.ConnMaxIdleTime == 0 {
		options.ConnMaxIdleTime = idleTime
	}
	options.ContextTimeoutEnabled = true
	// Contexts bound calls. These timeouts apply where go-redis uses no context.
	timeout = max(timeout, callTimeout)
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = timeout, timeout, timeout
	// A retried call could exceed its timeout, and a retried message could
	// overtake another.
	options.MaxRetries, options.DialerRetries = -1, 1
	// Nothing here needs RESP3, and without it go-redis moves no connection to
	// another server by itself.
	options.Protocol = 2
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DisableIdentity = true // saves a round trip and a permission
}

func newSharedClient(o *redis.Options, cluster bool) redis.UniversalClient {
	if !cluster {
		return redis.NewClient(o)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{o.Addr}, Dialer: o.Dialer, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		ClientName: o.ClientName, Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		MaintNotificationsConfig: o.MaintNotificationsConfig, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, MaxConcurrentDials: o.MaxConcurrentDials,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
	})
}

// hide removes the password from an error. Some servers quote the arguments of a
// command that they do not know.
func (c *Cache) hide(err error) error {
	if p := c.options().Password; p != "" && strings.Contains(err.Error(), p) {
		return errors.New(strings.ReplaceAll(err.Error(), p, "…"))
	}
	return err
}
