package remotestore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opRevoke = operation{"revoke", true, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound}, serve(serveRevoke)}

type revokeRequest struct {
	Owner  string          `json:"owner"`
	ID     string          `json:"id"`
	At     recordjson.Time `json:"at"`
	Reason string          `json:"reason"`
}

type revokeResponse struct {
	Record  recordjson.Record `json:"record"`
	Changed *bool             `json:"changed"`
}

// Revoke implements [store.Store].
func (s *Store) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := checkUTF8(owner, id, reason); err != nil {
		return store.Record{}, false, opRevoke.notSent(err)
	}
	response, err := call[revokeResponse](ctx, s, opRevoke, revokeRequest{owner, id, recordjson.TimeOf(at), reason})
	if err != nil {
		return store.Record{}, false, err
	}
	r, err := decodeRecordOf(response.Record, owner, id)
	changed := response.Changed
	if err == nil && (changed == nil || r.RevokedAt.IsZero() || *changed && !isRevokedBy(r, at, reason)) {
		err = errMismatch
	}
	if err != nil {
		return store.Record{}, false, opRevoke.outage(err)
	}
	return r, *changed, nil
}

// isRevokedBy reports whether r was revoked by a call with this time and reason.
func isRevokedBy(r store.Record, at time.Time, reason string) bool {
	return !r.RevokedAt.IsZero() && isSame(r.RevokedAt, at) && r.RevokeReason == reason
}

func serveRevoke(ctx context.Context, st store.Store, request revokeRequest) (revokeResponse, error) {
	if request.At.IsZero() {
		return revokeResponse{}, errMalformed
	}
	r, changed, err := st.Revoke(ctx, request.Owner, request.ID, request.At.Time, request.Reason)
	if err != nil {
		return revokeResponse{}, err
	}
	sent, err := encodeRecord(r)
	return revokeResponse{sent, &changed}, err
}
