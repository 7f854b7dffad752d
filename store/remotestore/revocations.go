package remotestore

import (
	"context"
	"errors"

	"github.com/keyhatch/keyhatch/store"
)

var _ store.RevocationCounter = (*Store)(nil)

// Revocations implements [store.RevocationCounter]. If the service's store does not
// count revocations, the error matches [errors.ErrUnsupported].
func (s *Store) Revocations(ctx context.Context) (store.Revocations, error) {
	a, err := ask[revocationsAnswer](ctx, s, verbRevocations, revocationsQuestion{})
	switch {
	case err != nil:
		return store.Revocations{}, err
	case a.Count == nil || *a.Count < 0 || a.Lineage == "":
		return store.Revocations{}, verbRevocations.outage(errors.New("the response is not a count of revocations"))
	}
	return store.Revocations{Lineage: a.Lineage, Count: *a.Count}, nil
}

type revocationsQuestion struct{}

type revocationsAnswer struct {
	Lineage string `json:"lineage"`
	Count   *int64 `json:"count"`
}

func serveRevocations(ctx context.Context, st store.Store, _ revocationsQuestion) (revocationsAnswer, error) {
	counter, ok := st.(store.RevocationCounter)
	if !ok {
		return revocationsAnswer{}, errors.ErrUnsupported
	}
	r, err := counter.Revocations(ctx)
	return revocationsAnswer{r.Lineage, &r.Count}, err
}
