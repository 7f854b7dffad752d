package remotestore_test

import (
	"errors"
	"testing"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// if the service's store does not count revocations, clients get
// ErrUnsupported, not an outage.
func TestRevocationsUnsupported(t *testing.T) {
	s := newStore(t, serve(t, newHandler(t, struct{ store.Store }{memstore.New()}, nil)), nil)
	if _, err := s.Revocations(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
