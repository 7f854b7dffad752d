package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// touchSize is the maximum number of uses in one statement.
const touchSize = 1000

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	switch {
	case len(uses) == 0:
		return nil
	case len(uses) <= touchSize:
		// Do not use a transaction. A program that is paused during a transaction leaves it open,
		// and its keys stay locked, so that they cannot be revoked.
		err := s.tables.RetryBusy(ctx, func() error {
			return s.writes.Call(func(c *sqldb.Call) error { return s.touch(ctx, c, uses) })
		})
		return wrap("touch", sqldb.WithContextError(ctx, err))
	}
	return wrap("touch", s.transact(ctx, func(tx *sql.Tx) error {
		for chunk := range slices.Chunk(uses, touchSize) {
			if err := s.touch(ctx, tx, chunk); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *Store) touch(ctx context.Context, e sqldb.Execer, uses []store.Use) error {
	_, err := e.ExecContext(ctx, s.sql.touch, pairs(uses))
	return err
}

// pairs returns the uses as JSON, so that a statement with any number of them has one
// parameter.
func pairs(uses []store.Use) string {
	b := make([]byte, 0, 88*len(uses)+2)
	b = append(b, '[')
	for i, use := range uses {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `["`...)
		b = hex.AppendEncode(b, use.Digest[:])
		b = append(b, `",`...)
		b = strconv.AppendInt(b, use.At.UnixMicro(), 10)
		b = append(b, ']')
	}
	return string(append(b, ']'))
}
