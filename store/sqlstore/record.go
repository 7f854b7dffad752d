package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// values returns the record's columns in their order.
func values(r store.Record) ([]any, error) {
	scopes, err := scopesColumn(r.Scopes)
	if err != nil {
		return nil, err
	}
	metadata, err := metadataColumn(r.Metadata)
	if err != nil {
		return nil, err
	}
	return []any{
		r.Digest[:], r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy, scopes, metadata,
		sqldb.Micros(r.CreatedAt), sqldb.Micros(r.ExpiresAt), sqldb.Micros(r.DisabledAt), sqldb.Micros(r.RevokedAt), sqldb.Micros(r.LastUsedAt),
	}, nil
}

// scan reads a record from the first columns, in their order, and the columns after them into
// the variables of more.
// It checks the values, since others can write to the table.
func scan(row interface{ Scan(...any) error }, more ...any) (store.Record, error) {
	var r store.Record
	err := row.Scan(append([]any{
		digestColumn{&r.Digest}, &r.ID, &r.Owner, &r.Name, &r.Hint, &r.CreatedBy, &r.RevokeReason, &r.ReplacedBy,
		jsonColumn{&r.Scopes}, jsonColumn{&r.Metadata},
		sqldb.Time{To: &r.CreatedAt}, sqldb.Time{To: &r.ExpiresAt}, sqldb.Time{To: &r.DisabledAt},
		sqldb.Time{To: &r.RevokedAt}, sqldb.Time{To: &r.LastUsedAt},
	}, more...)...)
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// same reports whether two records have the same columns, except for the last use,
// which other transactions may change at any time.
func same(a, b store.Record) bool {
	a.LastUsedAt, b.LastUsedAt = time.Time{}, time.Time{}
	x, errX := values(a)
	y, errY := values(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// sameRecords reports whether rows are the records, in any order.
func sameRecords(rows, records []store.Record) bool {
	byDigest := make(map[store.Digest]store.Record, len(rows))
	for _, r := range rows {
		byDigest[r.Digest] = r
	}
	return len(rows) == len(records) && !slices.ContainsFunc(records, func(r store.Record) bool {
		return !same(byDigest[r.Digest], r)
	})
}

// Scopes and metadata are stored as JSON, nil as null.
func scopesColumn(scopes []string) (string, error) {
	return document("scopes", scopes, scopes...)
}

func metadataColumn(metadata map[string]string) (string, error) {
	texts := slices.AppendSeq(slices.Collect(maps.Keys(metadata)), maps.Values(metadata))
	return document("metadata", metadata, texts...)
}

// document returns v as JSON. It refuses invalid UTF-8, which the encoder would
// silently replace.
func document(field string, v any, texts ...string) (string, error) {
	if !text.AreUTF8(texts...) {
		return "", fmt.Errorf("%s: not valid UTF-8", field)
	}
	b, err := json.Marshal(v)
	return string(b), err
}

type digestColumn struct{ to *store.Digest }

// Scan implements sql.Scanner.
func (c digestColumn) Scan(src any) error {
	if src == nil {
		return sql.ErrNoRows // a row of NULLs stands for no row
	}
	b, ok := src.([]byte)
	if !ok || len(b) != len(c.to) {
		return fmt.Errorf("want %d bytes, got %T of %d", len(c.to), src, len(b))
	}
	copy(c.to[:], b)
	return nil
}

type jsonColumn struct{ to any }

// Scan implements sql.Scanner.
func (c jsonColumn) Scan(src any) error {
	var text sql.NullString
	if err := text.Scan(src); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text.String), c.to)
}

// anyTrue is true if a column is true in any row that is scanned into it.
type anyTrue bool

// Scan implements sql.Scanner.
func (a *anyTrue) Scan(src any) error {
	var column sql.NullBool
	err := column.Scan(src)
	*a = *a || anyTrue(column.Bool)
	return err
}
