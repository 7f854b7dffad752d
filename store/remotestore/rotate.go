package remotestore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	sent, err := successorOf(next)
	if err = errors.Join(err, texts(owner, id)); err != nil {
		return store.Record{}, store.Record{}, verbRotate.unasked(err)
	}
	a, err := ask[rotateAnswer](ctx, s, verbRotate, rotateQuestion{owner, id, sent, recordjson.TimeOf(oldEnds), &limit})
	if err != nil {
		return store.Record{}, store.Record{}, err
	}
	old, err = of(a.Old, owner, id)
	if err == nil {
		now, err = of(a.Now, owner, next.ID)
	}
	if err == nil && !(replaced(old, next, oldEnds) && succeeds(now, next, old)) {
		err = errUnasked
	}
	if err != nil {
		return store.Record{}, store.Record{}, verbRotate.outage(err)
	}
	return old, now, nil
}

// replaced reports whether old is a possible result of a rotation to next: revoked,
// or with an end within the grace period.
func replaced(old, next store.Record, ends time.Time) bool {
	if old.ReplacedBy != next.ID || old.Digest == next.Digest || !old.DisabledAt.IsZero() {
		return false
	}
	created, ends := recordjson.TimeOf(next.CreatedAt).Time, recordjson.TimeOf(ends).Time
	// The grace period may also have ended by a faster clock.
	if !ends.After(created) || !old.RevokedAt.IsZero() {
		return ended(old, created, store.ReasonRotated)
	}
	return old.ExpiresAt.After(created) && !old.ExpiresAt.After(ends)
}

// succeeds reports whether now is next with the fields that it inherits from old.
func succeeds(now, next, old store.Record) bool {
	return now.Digest == next.Digest && now.Hint == next.Hint && same(now.CreatedAt, next.CreatedAt) &&
		now.Name == old.Name && now.CreatedBy == old.CreatedBy &&
		slices.Equal(now.Scopes, old.Scopes) && maps.Equal(now.Metadata, old.Metadata) &&
		now.ReplacedBy == "" && now.RevokeReason == "" &&
		now.RevokedAt.IsZero() && now.DisabledAt.IsZero() && now.LastUsedAt.IsZero() &&
		outlives(now, old)
}

// outlives reports whether now has the expiry that old had before its rotation, as
// far as old still shows it.
func outlives(now, old store.Record) bool {
	if !old.RevokedAt.IsZero() {
		return now.ExpiresAt.Equal(old.ExpiresAt)
	}
	return now.ExpiresAt.IsZero() || !now.ExpiresAt.Before(old.ExpiresAt)
}
