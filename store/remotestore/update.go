package remotestore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	change, err := changeOf(c)
	if err == nil {
		err = texts(owner, id)
	}
	if err != nil {
		return store.Record{}, verbUpdate.unasked(err)
	}
	a, err := ask[recordAnswer](ctx, s, verbUpdate, updateQuestion{owner, id, change})
	if err != nil {
		return store.Record{}, err
	}
	r, err := of(a.Record, owner, id)
	if err == nil && !made(c, r) {
		err = errUnasked
	}
	if err != nil {
		return store.Record{}, verbUpdate.outage(err)
	}
	return r, nil
}

// made reports whether r is not revoked and has all values that c sets.
func made(c store.Change, r store.Record) bool {
	return r.RevokedAt.IsZero() &&
		(c.Name == nil || r.Name == *c.Name) &&
		(c.Scopes == nil || slices.Equal(r.Scopes, c.Scopes)) &&
		(c.Metadata == nil || maps.Equal(r.Metadata, c.Metadata)) &&
		(c.ExpiresAt == nil || same(r.ExpiresAt, *c.ExpiresAt)) &&
		(c.DisabledAt == nil || same(r.DisabledAt, *c.DisabledAt))
}

// same reports whether a received time equals a sent one.
func same(got, sent time.Time) bool { return got.Equal(recordjson.TimeOf(sent).Time) }
