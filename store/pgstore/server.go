package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const oldest = 13_00_00

// A server is what answered at the other end.
type server struct {
	pid     uint32 // of the process
	version int    // 130004 is 13.4
	commit  string // synchronous_commit
}

// examine connects once, and reports whether a pooler is between: the process
// that answers is then another than was announced, since the pooler announces
// itself.
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
	if err := s.suits(); err != nil {
		return false, err
	}
	pooled = conn.PgConn().PID() != s.pid
	if pooled {
		err = transacts(ctx, conn)
	}
	return pooled, err
}

// ask prepares nothing, since nobody knows yet who listens.
func ask(ctx context.Context, conn *pgx.Conn) (s server, err error) {
	const question = `SELECT pg_backend_pid(), current_setting('server_version_num')::int, current_setting('synchronous_commit')`
	err = conn.QueryRow(ctx, question, pgx.QueryExecModeExec).Scan(&s.pid, &s.version, &s.commit)
	return s, err
}

func (s server) suits() error {
	if s.version < oldest {
		return fmt.Errorf("the server is PostgreSQL %d.%d, want 13 or later", s.version/10000, s.version%10000)
	}
	// A crash would bring keys back that were revoked just before.
	if s.commit == "off" {
		return errors.New("synchronous_commit is off, so that revocations can be lost after they were acknowledged; " +
			"turn it on for this user: ALTER ROLE … SET synchronous_commit = on")
	}
	return nil
}

// transacts finds out whether transactions come through.
func transacts(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("the pooler before the server refuses transactions; set pool_mode = transaction (or session) for this database: %w", err)
	}
	return tx.Rollback(ctx)
}
