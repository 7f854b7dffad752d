package rediscache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/guard"
	"github.com/redis/go-redis/v9"
)

// Options configure a Cache. All other settings are in the URL.
type Options struct {
	// Namespace is the prefix of all names of the Cache in the server. The
	// default is "keyhatch". Different services that share a server, such as
	// staging and production, need different namespaces, even if their database
	// numbers differ, since messages reach all databases. A namespace is 1 to 64
	// characters of a-z, 0-9, "_", "-" and ":".
	Namespace string

	// Timeout bounds each call of Get and Set, and each thousand keys of a
	// Delete. The default is 100 ms, so that a server that hangs costs no more
	// than a store read. A Manager waits at most 500 ms even if Timeout is longer.
	Timeout time.Duration

	// Cluster must be set if the server is a node of a Redis Cluster. The client
	// learns the other nodes from it.
	Cluster bool

	// TLS is the configuration for a rediss URL. Nil means the system's root
	// certificates and no client certificate. An empty ServerName means the
	// URL's host.
	TLS *tls.Config

	// InsecureNoTLS allows redis URLs to other hosts. Anyone who can listen on the
	// network then learns the server's password and the records of keys. It also
	// allows rediss URLs with skip_verify, which are no safer: anyone who can
	// change network traffic can pose as the server.
	InsecureNoTLS bool
}

// MinSecret is the minimum length of a secret in bytes.
const MinSecret = 32

// DefaultNamespace is the default of [Options].Namespace.
const DefaultNamespace = "keyhatch"

const defaultTimeout = 100 * time.Millisecond

var namespaces = regexp.MustCompile(`^[a-z0-9_:-]{1,64}$`)

// A Cache is a [cache.Shared] and a [cache.Bus]. Its methods may be called from
// many goroutines, and many processes may share the server.
type Cache struct {
	shared  redis.UniversalClient
	scripts *pipeline
	bus     *redis.Client
	options func() redis.Options // a func, so that a printed Cache shows no password
	names   names
	seal    *seal
	breaker *guard.Breaker
	timeout time.Duration
	cluster bool

	life  context.Context // canceled by Close
	close func() error
}

var (
	_ cache.Shared = (*Cache)(nil)
	_ cache.Bus    = (*Cache)(nil)
)

// Open connects to the server at the URL, which has one of the forms
//
//	redis://user:password@host:port/database
//	rediss://user:password@host:port/database
//	unix://user:password@/path/to/socket?db=database
//
// and pings the server. If opts is nil, the defaults are used. The secret consists
// of [MinSecret] random bytes or more, and is the same for all instances of a
// service. Keep it from everyone else, including the server: it authenticates the
// instances' entries and messages.
//
// Errors never contain the password.
func Open(ctx context.Context, url string, secret []byte, opts *Options) (*Cache, error) {
	c, err := open(ctx, url, secret, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("rediscache: %w", err)
	}
	return c, nil
}

func open(ctx context.Context, url string, secret []byte, opts Options) (*Cache, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if len(secret) < MinSecret || len(bytes.Trim(secret, "\x00")) == 0 {
		return nil, fmt.Errorf("the secret: want %d random bytes or more", MinSecret)
	}
	options, err := configure(url, &opts)
	if err != nil {
		return nil, err
	}
	c := newCache(options, secret, &opts)
	if err := c.ping(ctx); err != nil {
		return nil, errors.Join(c.hide(err), c.Close())
	}
	return c, nil
}

func newCache(options *redis.Options, secret []byte, opts *Options) *Cache {
	c := &Cache{
		shared:  newSharedClient(options, opts.Cluster),
		bus:     redis.NewClient(options),
		options: func() redis.Options { return *options },
		names:   names{opts.Namespace},
		seal:    newSeal(secret, opts.Namespace),
		breaker: guard.NewBreaker(0),
		timeout: opts.Timeout,
		cluster: opts.Cluster,
	}
	var end context.CancelFunc
	c.life, end = context.WithCancel(context.Background())
	c.scripts = &pipeline{client: c.shared, bound: func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(c.life, c.timeout)
	}}
	c.close = sync.OnceValue(func() error {
		end()
		return errors.Join(c.shared.Close(), c.bus.Close())
	})
	return c
}

func (o *Options) withDefaults() (d Options) {
	if o != nil {
		d = *o
	}
	if d.Namespace == "" {
		d.Namespace = DefaultNamespace
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	return d
}

func (o *Options) validate() error {
	if !namespaces.MatchString(o.Namespace) {
		return fmt.Errorf("Options.Namespace: got %q, want 1 to 64 of _ - : 0-9 a-z", o.Namespace)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("Options.Timeout: got %v, want more than 0", o.Timeout)
	}
	return nil
}

// ping uses both clients, since only one of them may be a cluster client.
func (c *Cache) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := c.bus.Ping(ctx).Err(); err != nil {
		return err
	}
	return c.shared.Ping(ctx).Err()
}

// Close closes the connections. Every Receive returns, other calls in progress may
// fail, and later calls return an error. Close may be called more than once.
func (c *Cache) Close() error { return c.close() }
