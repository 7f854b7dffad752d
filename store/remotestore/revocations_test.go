package remotestore_test

import (
	"errors"
	"testing"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// a service whose store does not count says so, and its clients can tell
// that from an outage.
func TestRevocationsUnsupported(t *testing.T) {
	s := newStore(t, serve(t, newHandler(t, struct{ store.Store }{memstore.New()}, nil)), nil)
	if _, err := s.Revocations(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
