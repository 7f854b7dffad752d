package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const oldest = 13_00_00

// A server describes the session that replied.
type server struct {
	pid     uint32 // process id of the session
	version int    // 130004 is 13.4
	commit  string // synchronous_commit
}

// examine connects once and reports whether there is a pooler. A pooler announces a
// process id of its own, so the session's process id differs from it.
func examine(ctx context.Context, c *pgx.ConnConfig) (pooled bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	s, err := ask(ctx, conn)
	if err != nil {
		return false, err
	}
	if err := s.check(); err != nil {
		return false, err
	}
	pooled = conn.PgConn().PID() != s.pid
	if pooled {
		err = transacts(ctx, conn)
	}
	return pooled, err
}

// ask uses no prepared statement, since there may be a pooler.
func ask(ctx context.Context, conn *pgx.Conn) (s server, err error) {
	const statement = `SELECT pg_backend_pid(), current_setting('server_version_num')::int, current_setting('synchronous_commit')`
	err = conn.QueryRow(ctx, statement, pgx.QueryExecModeExec).Scan(&s.pid, &s.version, &s.commit)
	return s, err
}

func (s server) check() error {
	if s.version < oldest {
		return fmt.Errorf("the server is PostgreSQL %d.%d, want 13 or later", s.version/10000, s.version%10000)
	}
	// A crash could make keys work again that were revoked just before.
	if s.commit == "off" {
		return errors.New("synchronous_commit is off, so a crash of the server can undo a revocation; " +
			"turn it on for this user: ALTER ROLE … SET synchronous_commit = on")
	}
	return nil
}

// transacts returns an error if the pooler does not support transactions.
func transacts(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("the pooler refuses transactions; set pool_mode = transaction (or session) for this database: %w", err)
	}
	return tx.Rollback(ctx)
}
