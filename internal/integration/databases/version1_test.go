package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// version1 is a program that knows only version 1 of the schema. Do not adapt its statements to
// later versions.
type version1 struct {
	db *sql.DB
	d  database
}

const version1Insert = `INSERT INTO keyhatch_keys (digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
	scopes, metadata, created_at, expires_at, disabled_at, revoked_at, last_used_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

const version1Count = `SELECT
	(SELECT count(*) FROM (SELECT 1 FROM keyhatch_keys WHERE owner = ? AND revoked_at IS NULL
		AND replaced_by = '' AND expires_at IS NULL LIMIT ?) AS endless) +
	(SELECT count(*) FROM (SELECT 1 FROM keyhatch_keys WHERE owner = ? AND revoked_at IS NULL
		AND replaced_by = '' AND expires_at > ? LIMIT ?) AS ending)`

const version1Revoke = `UPDATE keyhatch_keys SET revoked_at = ?, revoke_reason = ?
	WHERE id = ? AND revoked_at IS NULL`

const version1Replace = `UPDATE keyhatch_keys SET replaced_by = ?, expires_at = ?, revoked_at = ?, revoke_reason = ?
	WHERE id = ? AND revoked_at IS NULL`

var version1Lock = map[sqlstore.Dialect]string{
	sqlstore.SQLite: `DELETE FROM keyhatch_keys WHERE digest = x'' AND owner = ? AND false`,
	sqlstore.PostgreSQL: `INSERT INTO keyhatch_keys_owners AS o (owner) VALUES (?)
		ON CONFLICT (owner) DO UPDATE SET owner = o.owner WHERE false`,
	sqlstore.MySQL: `INSERT INTO keyhatch_keys_owners (owner) VALUES (?) ON DUPLICATE KEY UPDATE owner = owner`,
}

// openVersion1 creates the tables of version 1 in an empty database.
func openVersion1(t testing.TB, d database, dsn string) *version1 {
	t.Helper()
	db := testkit.OpenDB(t, d.driver, dsn)
	if d.dialect == sqlstore.SQLite {
		db.SetMaxOpenConns(1)
	}
	text, err := os.ReadFile("../../../store/sqlstore/schema/" + string(d.dialect) + "/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) != "" {
			testkit.ExecuteOn(t, db, statement)
		}
	}
	return &version1{db, d}
}

func (v *version1) exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, v.d.text(statement), args...)
	return err
}

// write runs do as the only writer of the owner's rows.
func (v *version1) write(ctx context.Context, owner string, do func(*sql.Tx) error) error {
	for giveUp := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := v.attempt(ctx, owner, do)
		if err == nil || !refusedForOthers(err) || time.Now().After(giveUp) {
			return err
		}
	}
}

// refusedForOthers reports whether the transaction may succeed if it is repeated.
func refusedForOthers(err error) bool {
	for _, text := range []string{"database is locked", "SQLSTATE 40", "SQLSTATE 55P03", "Error 1213", "Error 1205", "Error 1020"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

func (v *version1) attempt(ctx context.Context, owner string, do func(*sql.Tx) error) error {
	isolation := sql.LevelReadCommitted
	if v.d.dialect == sqlstore.SQLite {
		isolation = sql.LevelSerializable
	}
	tx, err := v.db.BeginTx(ctx, &sql.TxOptions{Isolation: isolation})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := v.exec(ctx, tx, version1Lock[v.d.dialect], owner); err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Insert inserts and then counts, as version 1 did.
func (v *version1) Insert(ctx context.Context, r store.Record, limit int) error {
	return v.write(ctx, r.Owner, func(tx *sql.Tx) error {
		if err := v.insert(ctx, tx, r); err != nil || limit < 0 {
			return err
		}
		var n int
		err := tx.QueryRowContext(ctx, v.d.text(version1Count), r.Owner, limit+1, r.Owner, r.CreatedAt.UnixMicro(), limit+1).Scan(&n)
		if err == nil && n > limit {
			err = store.ErrLimit
		}
		return err
	})
}

func (v *version1) insert(ctx context.Context, tx *sql.Tx, r store.Record) error {
	return v.exec(ctx, tx, version1Insert, r.Digest[:], r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy,
		`["a:read","`+r.ID+`"]`, `{"id":"`+r.ID+`"}`, column(r.CreatedAt), column(r.ExpiresAt), column(r.DisabledAt),
		column(r.RevokedAt), column(r.LastUsedAt))
}

// column returns the stored form of a time.
func column(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMicro()
}

func (v *version1) Revoke(ctx context.Context, owner, id string, at time.Time) error {
	return v.write(ctx, owner, func(tx *sql.Tx) error {
		return v.exec(ctx, tx, version1Revoke, at.UnixMicro(), "by version 1", id)
	})
}

// Rotate replaces a key, and revokes it if ends is the zero time.
func (v *version1) Rotate(ctx context.Context, old, next store.Record, ends time.Time) error {
	return v.write(ctx, old.Owner, func(tx *sql.Tx) error {
		r, err := v.row(tx.QueryRowContext(ctx, v.d.text(plainColumns+"WHERE id = ?"), old.ID))
		if err != nil {
			return err
		}
		if r.revoked != nil || r.replaced != "" || r.disabled != nil {
			return store.ErrConflict
		}
		if err := v.insert(ctx, tx, next); err != nil {
			return err
		}
		if ends.IsZero() {
			return v.exec(ctx, tx, version1Replace, next.ID, r.expires, next.CreatedAt.UnixMicro(), store.ReasonRotated, old.ID)
		}
		return v.exec(ctx, tx, version1Replace, next.ID, ends.UnixMicro(), nil, "", old.ID)
	})
}

func (v *version1) row(row *sql.Row) (r plainRow, err error) {
	if err = r.scan(row); errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	return r, err
}

// revoked looks a key up by its digest.
func (v *version1) revoked(ctx context.Context, k store.Record) (bool, error) {
	r, err := v.row(v.db.QueryRowContext(ctx, v.d.text(plainColumns+"WHERE digest = ?"), k.Digest[:]))
	return r.revoked != nil, err
}
