package remotestore

import (
	"context"
	"errors"

	"github.com/keyhatch/keyhatch/store"
)

var opRevocations = operation{"revocations", false, maxRecord, []error{errors.ErrUnsupported}, serve(serveRevocations)}

type revocationsRequest struct{}

type revocationsResponse struct {
	Lineage string `json:"lineage"`
	Count   *int64 `json:"count"`
}

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter]. If the service's store does not
// count revocations, the error matches [errors.ErrUnsupported].
func (s *Store) Revocations(ctx context.Context) (store.Revocations, error) {
	response, err := call[revocationsResponse](ctx, s, opRevocations, revocationsRequest{})
	switch {
	case err != nil:
		return store.Revocations{}, err
	case response.Count == nil || *response.Count < 0 || response.Lineage == "":
		return store.Revocations{}, opRevocations.outage(errors.New("the response is not a count of revocations"))
	}
	return store.Revocations{Lineage: response.Lineage, Count: *response.Count}, nil
}

func serveRevocations(ctx context.Context, st store.Store, _ revocationsRequest) (revocationsResponse, error) {
	counter, ok := st.(store.RevocationCounter)
	if !ok {
		return revocationsResponse{}, errors.ErrUnsupported
	}
	r, err := counter.Revocations(ctx)
	return revocationsResponse{r.Lineage, &r.Count}, err
}
