package remotestore

import (
	"context"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opInsert = operation{"insert", true, maxRecord, []error{store.ErrDuplicate, store.ErrConflict, store.ErrLimit}, serve(serveInsert)}

type insertRequest struct {
	Record recordjson.Record `json:"record"`
	Limit  *int              `json:"limit"`
}

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	sent, err := encodeRecord(r)
	if err != nil {
		return opInsert.notSent(err)
	}
	return s.do(ctx, opInsert, insertRequest{sent, &limit})
}

func serveInsert(ctx context.Context, st store.Store, request insertRequest) (doneResponse, error) {
	r, err := decodeRecord(request.Record)
	if err != nil || request.Limit == nil {
		return doneResponse{}, errMalformed
	}
	return doneResponse{true}, st.Insert(ctx, r, *request.Limit)
}
