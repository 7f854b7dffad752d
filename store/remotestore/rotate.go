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

var opRotate = operation{"rotate", true, 2 * maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound, store.ErrConflict, store.ErrDuplicate}, serve(serveRotate)}

type rotateRequest struct {
	Owner   string          `json:"owner"`
	ID      string          `json:"id"`
	Next    successor       `json:"next"`
	OldEnds recordjson.Time `json:"old_ends_at"`
	Limit   *int            `json:"limit"`
}

// A successor holds the fields of the next record that a rotation sets.
type successor struct {
	ID        string            `json:"id"`
	Digest    recordjson.Digest `json:"digest"`
	Hint      string            `json:"hint"`
	CreatedAt recordjson.Time   `json:"created_at"`
}

type rotateResponse struct {
	Old recordjson.Record `json:"old"`
	Now recordjson.Record `json:"now"`
}

// Rotate implements [store.Store].
func (s *Store) Rotate(ctx context.Context, owner, id string, next store.Record, oldEnds time.Time, limit int) (old, now store.Record, err error) {
	if err := checkUTF8(owner, id, next.ID, next.Hint); err != nil {
		return store.Record{}, store.Record{}, opRotate.notSent(err)
	}
	sent := successor{next.ID, recordjson.Digest(next.Digest), next.Hint, recordjson.TimeOf(next.CreatedAt)}
	response, err := call[rotateResponse](ctx, s, opRotate, rotateRequest{owner, id, sent, recordjson.TimeOf(oldEnds), &limit})
	if err != nil {
		return store.Record{}, store.Record{}, err
	}
	old, err = decodeRecordOf(response.Old, owner, id)
	if err == nil {
		now, err = decodeRecordOf(response.Now, owner, next.ID)
	}
	if err == nil && !(isReplacedBy(old, next, oldEnds) && isSuccessor(now, next, old)) {
		err = errMismatch
	}
	if err != nil {
		return store.Record{}, store.Record{}, opRotate.outage(err)
	}
	return old, now, nil
}

// isReplacedBy reports whether old is a possible result of a rotation to next: revoked,
// or with an end within the grace period.
func isReplacedBy(old, next store.Record, ends time.Time) bool {
	if old.ReplacedBy != next.ID || old.Digest == next.Digest || !old.DisabledAt.IsZero() {
		return false
	}
	created, ends := recordjson.TimeOf(next.CreatedAt).Time, recordjson.TimeOf(ends).Time
	// A store revokes the old record if the grace period has ended according to a faster clock.
	if !ends.After(created) || !old.RevokedAt.IsZero() {
		return isRevokedBy(old, created, store.ReasonRotated)
	}
	return old.ExpiresAt.After(created) && !old.ExpiresAt.After(ends)
}

// isSuccessor reports whether a rotation of old to next can have created the record now, which
// must have the fields of next, and the other fields of old.
func isSuccessor(now, next, old store.Record) bool {
	return now.Digest == next.Digest && now.Hint == next.Hint && isSame(now.CreatedAt, next.CreatedAt) &&
		now.Name == old.Name && now.CreatedBy == old.CreatedBy &&
		slices.Equal(now.Scopes, old.Scopes) && maps.Equal(now.Metadata, old.Metadata) &&
		now.ReplacedBy == "" && now.RevokeReason == "" &&
		now.RevokedAt.IsZero() && now.DisabledAt.IsZero() && now.LastUsedAt.IsZero() &&
		hasExpiryOf(now, old)
}

// hasExpiryOf reports whether the expiry of now can be the one that old had before the rotation.
// A grace period may have moved the expiry of old to an earlier time.
func hasExpiryOf(now, old store.Record) bool {
	if !old.RevokedAt.IsZero() {
		return now.ExpiresAt.Equal(old.ExpiresAt)
	}
	return now.ExpiresAt.IsZero() || !now.ExpiresAt.Before(old.ExpiresAt)
}

func serveRotate(ctx context.Context, st store.Store, request rotateRequest) (rotateResponse, error) {
	n := request.Next
	next := store.Record{ID: n.ID, Digest: store.Digest(n.Digest), Hint: n.Hint, CreatedAt: n.CreatedAt.Time}
	if next.Digest.IsZero() || next.ID == "" || next.CreatedAt.IsZero() || request.Limit == nil {
		return rotateResponse{}, errMalformed
	}
	old, now, err := st.Rotate(ctx, request.Owner, request.ID, next, request.OldEnds.Time, *request.Limit)
	if err != nil {
		return rotateResponse{}, err
	}
	sentOld, err := encodeRecord(old)
	sentNow, errNow := encodeRecord(now)
	return rotateResponse{sentOld, sentNow}, errors.Join(err, errNow)
}
