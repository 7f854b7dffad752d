package remotestore

import (
	"context"

	"github.com/keyhatch/keyhatch/store"
)

var opGet = operation{"get", false, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound}, serve(serveGet)}

type getRequest struct {
	Owner string `json:"owner"`
	ID    string `json:"id"`
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (store.Record, error) {
	if err := checkUTF8(owner, id); err != nil {
		return store.Record{}, opGet.notSent(err)
	}
	response, err := call[recordResponse](ctx, s, opGet, getRequest{owner, id})
	if err != nil {
		return store.Record{}, err
	}
	r, err := decodeRecordOf(response.Record, owner, id)
	if err != nil {
		return store.Record{}, opGet.outage(err)
	}
	return r, nil
}

func serveGet(ctx context.Context, st store.Store, request getRequest) (recordResponse, error) {
	return recordResult(st.Get(ctx, request.Owner, request.ID))
}
