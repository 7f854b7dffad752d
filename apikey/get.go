package apikey

import (
	"context"
	"strings"

	"github.com/keyhatch/keyhatch/store"
)

// maxID is the maximum length of a key's ID in bytes. IDs that newID makes are shorter.
const maxID = 64

// validID reports whether id can be a key's ID. Some databases return an error for a
// NUL or for invalid UTF-8, which would count as an outage.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

// Get returns the owner's key. Errors are [ErrNotFound], [ErrUnavailable], and an
// [*InvalidError] if owner is invalid.
func (m *Manager) Get(ctx context.Context, owner, id string) (Key, error) {
	if err := checkNamed(owner, id); err != nil {
		return Key{}, err
	}
	permit, err := m.admit(ctx, m.reads, owner)
	if err != nil {
		return Key{}, err
	}
	defer permit.release()
	r, err := m.getRecord(ctx, permit, owner, id)
	return keyOf(r), err
}

// checkNamed returns an error if no key can have this owner and ID.
func checkNamed(owner, id string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if !validID(id) {
		return ErrNotFound
	}
	return nil
}

func (m *Manager) getRecord(ctx context.Context, p *permit, owner, id string) (r store.Record, err error) {
	seen := m.ended.now()
	r, err = callPermitted(ctx, p, m.opts.CallTimeout, func(ctx context.Context) (store.Record, error) { return m.store.Get(ctx, owner, id) })
	if err == nil {
		err = checkRecord(r, owner, id)
	}
	if err != nil {
		return store.Record{}, m.fail(ctx, owner, id, err)
	}
	m.digests.add(r)
	r, _ = m.ended.check(ctx, r, seen)
	return r, nil
}

// checkRecord returns an error unless r is the requested record.
func checkRecord(r store.Record, owner, id string) error {
	if r.Owner != owner || r.ID != id || r.Digest.IsZero() {
		return errWrongRecord
	}
	return nil
}
