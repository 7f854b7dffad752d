package remotestore

import (
	"context"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opLookup = operation{"lookup", false, maxRecord, []error{store.ErrNotFound}, serve(serveLookup)}

type lookupRequest struct {
	Digest recordjson.Digest `json:"digest"`
}

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	response, err := call[recordResponse](ctx, s, opLookup, lookupRequest{recordjson.Digest(d)})
	if err != nil {
		return store.Record{}, err
	}
	r, err := decodeRecord(response.Record)
	if err == nil && r.Digest != d {
		err = errMismatch
	}
	if err != nil {
		return store.Record{}, opLookup.outage(err)
	}
	return r, nil
}

func serveLookup(ctx context.Context, st store.Store, request lookupRequest) (recordResponse, error) {
	return recordResult(st.Lookup(ctx, store.Digest(request.Digest)))
}
