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

// Options adjust a Cache. What is not here is said in the URL.
type Options struct {
	// Namespace begins the names of all that the Cache has in the server, by
	// default "keyhatch". Services that share a server and are not one, such
	// as staging and production, need one each, also where their database
	// numbers differ: messages go to all of them. It is 1 to 64 characters of
	// a-z, 0-9, "_", "-" and ":".
	Namespace string

	// Timeout bounds each call of Get and Set, and each thousand keys of a
	// Delete, by default 100 ms, so that a server that hangs costs no more than a
	// look into the store. A Manager waits at most 500 ms even if this is
	// longer.
	Timeout time.Duration

	// Cluster says that the server is a node of a Redis Cluster, from which
	// the other nodes are learned.
	Cluster bool

	// TLS is used for rediss URLs instead of what the system trusts. Its
	// ServerName is by default the URL's host.
	TLS *tls.Config

	// InsecureNoTLS allows redis URLs to hosts other than this one. Anyone who
	// can listen on the network then has the server's password, and reads the
	// records of keys. It also allows rediss URLs with skip_verify, which is no
	// better: anyone who can change what the network carries poses as the server.
	InsecureNoTLS bool
}

// MinSecret is how long a secret must be, in bytes.
const MinSecret = 32

// DefaultNamespace begins names where [Options] do not say otherwise.
const DefaultNamespace = "keyhatch"

const defaultTimeout = 100 * time.Millisecond

var namespaces = regexp.MustCompile(`^[a-z0-9_:-]{1,64}$`)

// A Cache is a [cache.Shared] and a [cache.Bus]. Its methods may be called from
// many goroutines, and many processes may share the server.
type Cache struct {
	level   redis.UniversalClient
	scripts *pipeline
	bus     *redis.Client
	options func() redis.Options // a func, so that no print shows the password
	names   names
	seal    *seal
	breaker *guard.Breaker
	timeout time.Duration
	cluster bool

	life  context.Context // ends with Close
	close func() error
}

var (
	_ cache.Shared = (*Cache)(nil)
	_ cache.Bus    = (*Cache)(nil)
)

// Open connects to the server that the URL tells, one of
//
//	redis://user:password@host:port/database
//	rediss://user:password@host:port/database
//	unix://user:password@/path/to/socket?db=database
//
// and asks it for a sign of life. Nil Options are fine. The secret, of
// [MinSecret] random bytes or more, is the same for all instances of a service. Keep it
// from everyone else, including the server: it authenticates the instances' entries.
//
// No error shows the password.
func Open(ctx context.Context, url string, secret []byte, o *Options) (*Cache, error) {
	c, err := open(ctx, url, secret, o)
	if err != nil {
		return nil, fmt.Errorf("rediscache: %w", err)
	}
	return c, nil
}

func open(ctx context.Context, url string, secret []byte, o *Options) (*Cache, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts = opts.withDefaults()
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

func newCache(options *redis.Options, secret []byte, o *Options) *Cache {
	c := &Cache{
		level:   newLevel(options, o.Cluster),
		bus:     redis.NewClient(options),
		options: func() redis.Options { return *options },
		names:   names{o.Namespace},
		seal:    newSeal(secret, o.Namespace),
		breaker: guard.NewBreaker(0),
		timeout: o.Timeout,
		cluster: o.Cluster,
	}
	var end context.CancelFunc
	c.life, end = context.WithCancel(context.Background())
	c.scripts = &pipeline{client: c.level, bound: func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(c.life, c.timeout)
	}}
	c.close = sync.OnceValue(func() error {
		end()
		return errors.Join(c.level.Close(), c.bus.Close())
	})
	return c
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return o
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

// ping asks through both clients, since only one of them may be of a cluster.
func (c *Cache) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := c.bus.Ping(ctx).Err(); err != nil {
		return err
	}
	return c.level.Ping(ctx).Err()
}

// Close closes the connections. Calls that are under way may fail, later ones
// do, and every Receive returns. Closing twice is no error.
func (c *Cache) Close() error { return c.close() }
