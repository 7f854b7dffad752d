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
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// longestName is what PostgreSQL keeps of an identifier, in bytes. LISTEN cuts
// off the rest, and pg_notify refuses it.
const longestName = 63

// BusOptions adjust a Bus.
type BusOptions struct {
	// DSN is the data source name by which Receive connects, by default the
	// Store's own. It has to lead to the same database, without a pooler or
	// through one in session mode. Messages are published by way of the Store,
	// and a pooler in transaction mode may stand there.
	DSN string

	// Channel is the channel's name: at most 63 bytes of printable ASCII. By
	// default it is made from the names of the table and its schema, so that the
	// Stores on one table, and no others, get each other's messages. The schema is the
	// one that Open has found, whatever the search path of later connections is.
	Channel string

	// Secret authenticates the messages: [MinSecret] or more random bytes, the
	// same in all instances. Set it if any other role can connect to the database.
	// With it, such a role can only make instances mark their cached entries stale
	// every ten seconds. Without it, the role can invalidate entries at will and
	// hide lost messages, so that a revocation is seen only after CacheTTL; and an
	// instance that closes counts as silent for a CacheTTL. Default none.
	//
	// While only some instances have the secret, they and the others do not accept
	// each other's messages, and cached entries expire after ten seconds.
	Secret []byte
}

// Format writes the options without the DSN and the Secret, for every verb.
func (o BusOptions) Format(f fmt.State, verb rune) {
	type options BusOptions // without this method
	o.DSN, o.Secret = "", nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText returns what Format writes, for log/slog and encoding/json.
func (o BusOptions) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%+v", o), nil }

// MinSecret is how long a secret must be, in bytes.
const MinSecret = 32

// A Bus carries messages between the instances of a service by LISTEN and
// NOTIFY, as [cache.Bus] wants it. Receive has a connection of its own while it
// lasts, and Publish has another, which ends with the Store.
type Bus struct {
	pool    *pgxpool.Pool
	channel string

	// Funcs, so that no print shows the password and the key.
	server func() *pgx.ConnConfig
	key    func() []byte
}

var _ cache.Bus = (*Bus)(nil)

// Bus returns a bus on the Store's database. Nil BusOptions are fine.
//
// It sends itself a message first, and fails if that has not come after two
// seconds, as it does not where a pooler takes LISTEN and gives the connection
// to somebody else. No error shows the password.
func (s *Store) Bus(ctx context.Context, o *BusOptions) (*Bus, error) {
	b, err := s.bus(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("pgstore: bus: %w", err)
	}
	return b, nil
}

func (s *Store) bus(ctx context.Context, o *BusOptions) (*Bus, error) {
	if o == nil {
		o = &BusOptions{}
	}
	if len(o.Channel) > longestName || !printable(o.Channel) {
		return nil, fmt.Errorf("BusOptions.Channel: %q is not %d bytes of printable ASCII, or fewer", o.Channel, longestName)
	}
	server, err := s.listenOn(o.DSN)
	if err != nil {
		return nil, err
	}
	if len(o.Secret) > 0 && (len(o.Secret) < MinSecret || len(bytes.Trim(o.Secret, "\x00")) == 0) {
		return nil, fmt.Errorf("BusOptions.Secret: want %d random bytes or more", MinSecret)
	}
	b := &Bus{pool: s.notices, channel: o.Channel, server: func() *pgx.ConnConfig { return server }}
	if b.channel == "" {
		b.channel = s.channel()
	}
	key := macKey(o.Secret, b.channel)
	b.key = func() []byte { return key }
	return b, b.probe(ctx)
}

// macKey is good for the messages of one channel alone. It is nil without a
// secret.
func macKey(secret []byte, channel string) []byte {
	if len(secret) == 0 {
		return nil
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("keyhatch/pgstore/bus/1\x00" + channel))
	return h.Sum(nil)
}

// MACKey returns a key that is derived from the secret, for [cache.Bus]. It is
// nil without one.
func (b *Bus) MACKey() []byte { return b.key() }

// listenOn is how to connect in order to listen.
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

// channel names the table that the Store's statements name, and not the one that the
// search path of a connection leads to by now.
func (s *Store) channel() string {
	table := s.options.Table
	if table == "" {
		table = sqlstore.DefaultTable
	}
	return channelOf(s.Schema(), table)
}

// channelOf gives every table another channel: a table's name has no dot in it.
// Schemas that the Options do not name may be called anything.
func channelOf(schema, table string) string {
	name := "keyhatch:" + schema + "." + table
	if len(name) > longestName || !printable(name) {
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("keyhatch:%x", sum[:16])
	}
	return name
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Publish sends a message on a connection that it has to itself: when all of the
// Store's are busy, others must still hear that this instance is there.
func (b *Bus) Publish(ctx context.Context, message string) error {
	if err := cache.CheckMessage(message); err != nil {
		return fmt.Errorf("pgstore: publish: %w", err)
	}
	if err := b.notify(ctx, b.channel, message); err != nil {
		return fmt.Errorf("pgstore: publish: %w", err)
	}
	return nil
}

// notify has a transaction of its own. All who notify wait in line for each
// other's commits, and one that writes nothing does not wait for the disk.
func (b *Bus) notify(ctx context.Context, channel, message string) error {
	_, err := b.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, message)
	return err
}

// Receive listens on a connection of its own, which it gives up when nothing has
// come for a second and the server then does not answer for half of one. It goes
// to a server that takes writes, so that after a failover the next call finds
// the new one.
//
// An echo is not notified, which would wake the sessions of all instances. That
// the listener's server is the one to which Publish leads, and that its session
// answers, says the same.
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
		return l.ask(message)
	})
	return fmt.Errorf("pgstore: receive: %w", l.run(ctx, deliver))
}

// began tells a server from all others: when it was started, in microseconds.
const began = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"

// checkServer fails unless Publish leads to the given server.
func (b *Bus) checkServer(ctx context.Context, want int64) error {
	var server int64
	if err := b.pool.QueryRow(ctx, began).Scan(&server); err != nil {
		return err
	}
	if server != want {
		return errors.New("the connection listens to another server than the one that is published to")
	}
	return nil
}
