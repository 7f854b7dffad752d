package pgstore

import (
	"context"
	"crypto/sha256"
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
	// default it is made from the table's name and its schema's, so that the
	// Stores on one table hear each other, and no others.
	Channel string
}

// A Bus carries messages between the instances of a service by LISTEN and
// NOTIFY, as [cache.Bus] wants it. Receive has a connection of its own while it
// lasts, and Publish has another, which ends with the Store.
type Bus struct {
	pool    *pgxpool.Pool
	server  *pgx.ConnConfig
	channel string
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
	b := &Bus{s.notices, server, o.Channel}
	if b.channel == "" {
		if b.channel, err = s.channel(ctx); err != nil {
			return nil, err
		}
	}
	return b, b.probe(ctx)
}

// listenOn is how to connect in order to listen.
func (s *Store) listenOn(dsn string) (*pgx.ConnConfig, error) {
	server := s.pool.Config().ConnConfig
	if dsn != "" {
		c, err := configure(dsn, &Options{})
		if err != nil {
			return nil, fmt.Errorf("BusOptions.DSN: %w", err)
		}
		server = c.pool.ConnConfig
	}
	server.RuntimeParams["application_name"] += " bus"
	return server, nil
}

// channel names the table that the Store's statements find.
func (s *Store) channel(ctx context.Context) (string, error) {
	table, schema := s.options.Table, s.options.Schema
	if table == "" {
		table = sqlstore.DefaultTable
	}
	if schema == "" {
		const question = `SELECT nspname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
			WHERE pg_class.oid = to_regclass(quote_ident($1))`
		if err := s.pool.QueryRow(ctx, question, table).Scan(&schema); err != nil {
			return "", fmt.Errorf("the schema of %s: %w", table, err)
		}
	}
	return channelOf(schema, table), nil
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
func (b *Bus) Receive(ctx context.Context, ready func(), deliver func(message string)) error {
	l, err := listen(ctx, b.server, b.channel)
	if err != nil {
		return fmt.Errorf("pgstore: receive: %w", err)
	}
	defer l.close()
	ready()
	return fmt.Errorf("pgstore: receive: %w", l.run(ctx, deliver))
}
