package apikey

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Filter selects which keys List returns. Revoked and expired keys are never deleted
// and soon outnumber the usable ones.
type Filter string

const (
	FilterAll     Filter = ""        // every key
	FilterCurrent Filter = "current" // neither revoked nor expired: StatusActive and StatusDisabled
	FilterEnded   Filter = "ended"   // all others: StatusExpired and StatusRevoked
)

// ListParams select a page of an owner's keys.
type ListParams struct {
	Owner  string
	Filter Filter // by default FilterAll
	Cursor string // Next of the previous Page, which may have another Filter; empty means the first page
	Limit  int    // 1 to 100; anything else means 100
}

// A Page is a page of a list of keys, newest first.
type Page struct {
	Keys []Key
	Next string // the Cursor of the next page; empty on the last page
}

// List returns a page of the owner's keys: all of them, or those that match the
// [Filter] now. A rotated key is current until its grace period ends. Keys that are created
// between two pages do not make the list repeat or omit other keys. Errors are an [*InvalidError]
// for a Cursor that is not from List, an unknown Filter or an invalid owner, and
// [ErrUnavailable].
func (m *Manager) List(ctx context.Context, p ListParams) (Page, error) {
	if err := checkOwner(p.Owner); err != nil {
		return Page{}, err
	}
	after, err := parseCursor(p.Cursor)
	if err != nil {
		return Page{}, err
	}
	q := store.Query{Owner: p.Owner, Filter: store.Filter(p.Filter), At: now(), After: after, Limit: p.Limit}
	if q.Validate() != nil {
		return Page{}, &InvalidError{Field: "Filter", Reason: "must be FilterAll, FilterCurrent or FilterEnded"}
	}
	permit, err := m.admit(ctx, m.reads, p.Owner)
	if err != nil {
		return Page{}, err
	}
	defer permit.release()
	seen := m.ended.now()
	found, err := callPermitted(ctx, permit, m.opts.CallTimeout, func(ctx context.Context) (store.Page, error) { return m.store.List(ctx, q) })
	page := Page{Next: formatCursor(found.Next)}
	for _, r := range found.Records {
		if err == nil && (checkRecord(r, p.Owner, r.ID) != nil || !q.Matches(r)) {
			err = errWrongRecord // a current key must not be listed as ended, or an ended one as current
		}
		if err == nil {
			m.digests.add(r)
		}
		r, _ = m.ended.check(ctx, r, seen)
		page.Keys = append(page.Keys, keyOf(r))
	}
	if err != nil {
		return Page{}, m.fail(ctx, p.Owner, "", err)
	}
	return page, nil
}

func formatCursor(c store.Cursor) string {
	if c.IsZero() {
		return ""
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(c.CreatedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, c.ID...))
}

func parseCursor(s string) (store.Cursor, error) {
	if s == "" {
		return store.Cursor{}, nil
	}
	bad := &InvalidError{Field: "Cursor", Reason: "must be one that List returned"}
	if len(s) > base64.RawURLEncoding.EncodedLen(8+maxID) {
		return store.Cursor{}, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) <= 8 {
		return store.Cursor{}, bad
	}
	c := store.Cursor{CreatedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), ID: string(b[8:])}
	// A cursor has one spelling, although base64 has several.
	if !validID(c.ID) || c.CreatedAt.Year() < 1 || c.CreatedAt.After(latest) || formatCursor(c) != s {
		return store.Cursor{}, bad
	}
	return c, nil
}
