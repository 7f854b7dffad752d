package remotestore

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opCount = operation{"count", false, maxRecord, nil, serve(serveCount)}

type countRequest struct {
	Owner string          `json:"owner"`
	At    recordjson.Time `json:"at"`
}

type countResponse struct {
	Count *int `json:"count"`
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, owner string, at time.Time) (int, error) {
	if err := checkUTF8(owner); err != nil {
		return 0, opCount.notSent(err)
	}
	response, err := call[countResponse](ctx, s, opCount, countRequest{owner, recordjson.TimeOf(at)})
	if err != nil {
		return 0, err
	}
	if response.Count == nil || *response.Count < 0 {
		return 0, opCount.outage(errMismatch)
	}
	return *response.Count, nil
}

func serveCount(ctx context.Context, st store.Store, request countRequest) (countResponse, error) {
	if request.At.IsZero() {
		return countResponse{}, errMalformed
	}
	n, err := st.Count(ctx, request.Owner, request.At.Time)
	return countResponse{&n}, err
}
