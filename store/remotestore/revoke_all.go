package remotestore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opRevokeAll = operation{"revoke_all", true, maxAll, nil, serve(serveRevokeAll)}

type revokeAllRequest struct {
	Owner  string          `json:"owner"`
	At     recordjson.Time `json:"at"`
	Reason string          `json:"reason"`
}

type revokeAllResponse struct {
	Records []recordjson.Record `json:"records"`
}

// RevokeAll implements [store.Store]. A response holds at most 64 MiB. If the
// revoked records are longer, which is impossible for records that a Manager
// created, RevokeAll returns an error although they are revoked.
func (s *Store) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	if err := checkUTF8(owner, reason); err != nil {
		return nil, opRevokeAll.notSent(err)
	}
	response, err := call[revokeAllResponse](ctx, s, opRevokeAll, revokeAllRequest{owner, recordjson.TimeOf(at), reason})
	if err != nil {
		return nil, err
	}
	records, err := response.revoked(owner, at, reason)
	if err != nil {
		return nil, opRevokeAll.outage(err)
	}
	return records, nil
}

// revoked returns the records, which must be a possible result of the call.
func (r revokeAllResponse) revoked(owner string, at time.Time, reason string) ([]store.Record, error) {
	records, err := decodeRecords(r.Records)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Owner != owner || !isRevokedBy(r, at, reason) {
			return nil, errMismatch
		}
	}
	if r.Records == nil || len(records) > store.RevokeBatch || hasDuplicates(records) {
		return nil, errMismatch
	}
	return records, nil
}

func serveRevokeAll(ctx context.Context, st store.Store, request revokeAllRequest) (revokeAllResponse, error) {
	if request.At.IsZero() {
		return revokeAllResponse{}, errMalformed
	}
	revoked, err := st.RevokeAll(ctx, request.Owner, request.At.Time, request.Reason)
	if err != nil {
		return revokeAllResponse{}, err
	}
	records, err := encodeRecords(revoked)
	return revokeAllResponse{records}, err
}
