package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (r store.Record, err error) {
	set, err := assignmentsOf(c)
	if err != nil {
		return store.Record{}, wrap("update", err)
	}
	err = s.write(ctx, owner, c.At, func(tx *sql.Tx, at time.Time) (_ store.Record, err error) {
		if r, err = s.owned(ctx, tx, owner, id); err != nil {
			return r, err
		}
		c.At = at
		if r, err = r.WithChange(c); err != nil {
			return r, err
		}
		return r, s.update(ctx, tx, r, set)
	})
	if err != nil {
		return store.Record{}, wrap("update", err)
	}
	return r, nil
}

func (s *Store) update(ctx context.Context, tx *sql.Tx, want store.Record, set assignments) error {
	if len(set.columns) == 0 {
		return nil
	}
	statement := s.text("UPDATE keyhatch_keys SET " + strings.Join(set.columns, ", ") +
		" WHERE id = ? AND revoked_at IS NULL")
	return s.change(ctx, tx, statement, append(set.values, want.ID), want)
}

// assignments holds the columns that a change sets. No other column is written, so that
// two changes of different fields do not undo each other.
type assignments struct {
	columns []string
	values  []any
}

func (a *assignments) add(column string, value any) {
	a.columns = append(a.columns, column+" = ?")
	a.values = append(a.values, value)
}

func assignmentsOf(c store.Change) (set assignments, err error) {
	scopes, err := scopesColumn(c.Scopes)
	if err != nil {
		return set, err
	}
	metadata, err := metadataColumn(c.Metadata)
	if err != nil {
		return set, err
	}
	if c.Name != nil {
		set.add("name", *c.Name)
	}
	if c.Scopes != nil {
		set.add("scopes", scopes)
	}
	if c.Metadata != nil {
		set.add("metadata", metadata)
	}
	if c.ExpiresAt != nil {
		set.add("expires_at", sqldb.Micros(*c.ExpiresAt))
	}
	if c.DisabledAt != nil {
		set.add("disabled_at", sqldb.Micros(*c.DisabledAt))
	}
	return set, nil
}

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	err = s.write(ctx, owner, next.CreatedAt, func(tx *sql.Tx, at time.Time) (store.Record, error) {
		r, err := s.owned(ctx, tx, owner, id)
		if err != nil {
			return now, err
		}
		if old, now, err = r.WithSuccessor(at, next, oldEnds); err != nil {
			return now, err
		}
		if err := s.insert(ctx, tx, now); err != nil {
			return now, err
		}
		err = s.change(ctx, tx, s.sql.replace, []any{old.ReplacedBy, sqldb.Micros(old.ExpiresAt),
			sqldb.Micros(old.RevokedAt), old.RevokeReason, old.ID}, old)
		if err == nil && !old.RevokedAt.IsZero() {
			return now, s.countRevocations(ctx, tx, owner, 1)
		}
		if err != nil || limit < 0 {
			return now, err
		}
		exceeded, err := s.exceeds(ctx, tx, owner, at, limit)
		if err == nil && exceeded {
			err = store.ErrConflict
		}
		return now, err
	})
	if err != nil {
		return store.Record{}, store.Record{}, wrap("rotate", err)
	}
	return old, now, nil
}
