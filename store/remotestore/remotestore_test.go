package remotestore_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

var secret = []byte("a secret of the tests, 32 bytes!!")

func newHandler(t testing.TB, st store.Store, o *remotestore.HandlerOptions) http.Handler {
	t.Helper()
	h, err := remotestore.Handler(st, secret, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newStore(t testing.TB, url string, o *remotestore.Options) *remotestore.Store {
	t.Helper()
	s, err := remotestore.New(url, secret, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		server := httptest.NewServer(newHandler(t, memstore.New(), nil))
		t.Cleanup(server.Close)
		return newStore(t, server.URL, nil)
	})
}
