package remotestore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := texts(owner, id, reason); err != nil {
		return store.Record{}, false, verbRevoke.unasked(err)
	}
	a, err := ask[revokeAnswer](ctx, s, verbRevoke, revokeQuestion{owner, id, recordjson.TimeOf(at), reason})
	if err != nil {
		return store.Record{}, false, err
	}
	r, err := of(a.Record, owner, id)
	if err == nil && (a.Changed == nil || r.RevokedAt.IsZero() || *a.Changed && !ended(r, at, reason)) {
		err = errUnasked
	}
	if err != nil {
		return store.Record{}, false, verbRevoke.outage(err)
	}
	return r, *a.Changed, nil
}

// ended reports whether r was revoked by a call with this time and reason.
func ended(r store.Record, at time.Time, reason string) bool {
	return !r.RevokedAt.IsZero() && same(r.RevokedAt, at) && r.RevokeReason == reason
}

// RevokeAll implements [store.Store]. A response holds at most 64 MiB. If the
// revoked records are longer, which is impossible for records that a Manager
// created, RevokeAll returns an error although they are revoked.
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := texts(owner, reason); err != nil {
		return nil, verbRevokeAll.unasked(err)
	}
	a, err := ask[revokeAllAnswer](ctx, s, verbRevokeAll, revokeAllQuestion{owner, recordjson.TimeOf(at), reason})
	if err != nil {
		return nil, err
	}
	records, err := a.revoked(owner, at, reason)
	if err != nil {
		return nil, verbRevokeAll.outage(err)
	}
	return records, nil
}

func (a revokeAllAnswer) revoked(owner string, at time.Time, reason string) ([]store.Record, error) {
	records, err := storedAll(a.Records)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Owner != owner || !ended(r, at, reason) {
			return nil, errUnasked
		}
	}
	if a.Records == nil || len(records) > store.RevokeBatch || repeated(records) {
		return nil, errUnasked
	}
	return records, nil
}
