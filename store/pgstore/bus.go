package pgstore

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// longestName is the maximum length of an identifier in PostgreSQL, in bytes.
// LISTEN truncates a longer name, and pg_notify refuses it.
const longestName = 63

// BusOptions configure a [Bus]. The zero value is a good default, except that it has
// no Secret.
type BusOptions struct {
	// DSN is the data source name with which Receive connects. The default is the data source
	// name of the Store. It must lead to the same database, either directly or through a pooler
	// in session mode. Messages are published over the Store's data source name, which may lead
	// through a pooler in transaction mode.
	DSN string

	// Channel is the name of the channel: at most 63 bytes of printable ASCII. By
	// default, it is derived from the names of the table and its schema, so that
	// exactly the Stores on one table share a channel. The schema is the one that
	// Open found, even if the search path of later connections differs.
	Channel string

	// Secret authenticates the messages. It must have at least [MinSecret] random
	// bytes, and be the same in all instances. Nil means no authentication, which
	// is safe only if no other role can connect to the database.
	//
	// With a Secret, another role can at most make instances mark their cached
	// entries stale every ten seconds. Without one, another role can invalidate
	// entries, and hide lost messages, so that a revocation is seen only after
	// the longer of CacheTTL and StaleIfError; and an instance that closes is treated
	// as silent for a CacheTTL.
	//
	// While only some instances have the secret, instances with and without it
	// reject each other's messages, and cached entries expire after ten seconds.
	Secret []byte
}

// Format writes the options without the DSN and the Secret, for every verb.
func (o BusOptions) Format(f fmt.State, verb rune) {
	type options BusOptions // without this method
	o.DSN, o.Secret = "", nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText returns the text that Format writes, for log/slog and encoding/json.
func (o BusOptions) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%+v", o), nil }

// MinSecret is the minimum length of [BusOptions.Secret], in bytes.
const MinSecret = 32

// A Bus implements [cache.Bus] with LISTEN and NOTIFY. Each call of Receive uses a
// connection of its own. All calls of Publish share one more connection, which
// closes with the Store. All methods may be called from many goroutines.
type Bus struct {
	pool    *pgxpool.Pool
	channel string

	// Functions, so that fmt does not print the password and the key.
	server func() *pgx.ConnConfig
	key    func() []byte
}

var _ cache.Bus = (*Bus)(nil)

// Bus returns a bus on the Store's database. If opts is nil, the defaults are used.
//
// Bus first sends itself a message. It returns an error if the message does not
// arrive within 2 s, for example because a pooler in transaction mode accepts
// LISTEN but never delivers. It also returns an error if an option is invalid or
// the server cannot be reached. No error contains the password.
func (s *Store) Bus(ctx context.Context, opts *BusOptions) (*Bus, error) {
	b, err := s.bus(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("pgstore: bus: %w", err)
	}
	return b, nil
}

func (s *Store) bus(ctx context.Context, opts *BusOptions) (*Bus, error) {
	if opts == nil {
		opts = &BusOptions{}
	}
	if len(opts.Channel) > longestName || !text.IsPrintableASCII(opts.Channel) {
		return nil, fmt.Errorf("BusOptions.Channel: %q must be at most %d bytes of printable ASCII", opts.Channel, longestName)
	}
	server, err := s.listenOn(opts.DSN)
	if err != nil {
		return nil, err
	}
	if len(opts.Secret) > 0 && (len(opts.Secret) < MinSecret || len(bytes.Trim(opts.Secret, "\x00")) == 0) {
		return nil, fmt.Errorf("BusOptions.Secret must have at least %d random bytes", MinSecret)
	}
	b := &Bus{pool: s.notices, channel: opts.Channel, server: func() *pgx.ConnConfig { return server }}
	if b.channel == "" {
		b.channel = s.channel()
	}
	key := macKey(opts.Secret, b.channel)
	b.key = func() []byte { return key }
	return b, b.probe(ctx)
}

// macKey returns a key for the messages of one channel, or nil if there is no
// secret.
func macKey(secret []byte, channel string) []byte {
	if len(secret) == 0 {
		return nil
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("keyhatch/pgstore/bus/1\x00" + channel))
	return h.Sum(nil)
}

// MACKey returns a key that is derived from the secret and the channel; see
// [cache.Bus]. It is nil if there is no secret.
func (b *Bus) MACKey() []byte { return b.key() }

// listenOn returns the configuration of the connection that listens.
func (s *Store) listenOn(dsn string) (*pgx.ConnConfig, error) {
	server := s.pool.Config().ConnConfig
	if dsn != "" {
		c, err := configure(dsn, &Options{InsecureNoTLS: s.options.InsecureNoTLS})
		if err != nil {
			return nil, fmt.Errorf("BusOptions.DSN: %w", err)
		}
		server = c.pool.ConnConfig
	}
	server.RuntimeParams["application_name"] += " bus"
	return server, nil
}

// channel returns the NOTIFY channel for the table that the Store uses. The search
// path of a later connection may lead to another table.
func (s *Store) channel() string {
	table := s.options.Table
	if table == "" {
		table = sqlstore.DefaultTable
	}
	return channelOf(s.Schema(), table)
}

// channelOf returns a channel that differs for every table. The names are
// unambiguous, since a table's name has no dot. If Options.Schema is empty, the
// schema may have any name.
func channelOf(schema, table string) string {
	name := "keyhatch:" + schema + "." + table
	if len(name) > longestName || !text.IsPrintableASCII(name) {
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("keyhatch:%x", sum[:16])
	}
	return name
}

// Publish implements [cache.Bus]. It uses a connection of its own: if all
// connections of the Store are busy, other instances must still receive heartbeats.
func (b *Bus) Publish(ctx context.Context, message string) error {
	if err := cache.CheckMessage(message); err != nil {
		return fmt.Errorf("pgstore: publish: %w", err)
	}
	if err := b.notify(ctx, b.channel, message); err != nil {
		return fmt.Errorf("pgstore: publish: %w", err)
	}
	return nil
}

// notify uses a separate transaction. Notifying transactions commit one after the
// other, and one that writes nothing does not wait for the disk.
func (b *Bus) notify(ctx context.Context, channel, message string) error {
	_, err := b.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, message)
	return err
}

// Receive implements [cache.Bus]. It listens on a connection of its own, to a
// server that accepts writes, so that after a failover the next call uses the new
// server. If nothing arrives for a second, and the server then does not reply to a
// ping within half a second, Receive returns an error.
//
// An echo is not sent as a notification, which would wake the sessions of all
// instances. Instead, Receive checks that Publish uses the same server as the
// listener, and that the listener's session replies to a ping.
func (b *Bus) Receive(ctx context.Context, ready func(echo func(ctx context.Context, message string) error), deliver func(message string)) error {
	l, err := listen(ctx, b.server(), b.channel)
	if err != nil {
		return fmt.Errorf("pgstore: receive: %w", err)
	}
	defer l.close()
	ready(func(ctx context.Context, message string) error {
		if err := b.checkServer(ctx, l.server); err != nil {
			return fmt.Errorf("pgstore: echo: %w", err)
		}
		return l.queueEcho(message)
	})
	return fmt.Errorf("pgstore: receive: %w", l.run(ctx, deliver))
}

// began is a query that identifies a server by its start time, in microseconds.
const began = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"

// checkServer returns an error unless Publish uses the given server.
func (b *Bus) checkServer(ctx context.Context, want int64) error {
	var server int64
	if err := b.pool.QueryRow(ctx, began).Scan(&server); err != nil {
		return err
	}
	if server != want {
		return errors.New("Receive and Publish are connected to different servers")
	}
	return nil
}
