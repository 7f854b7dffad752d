package remotestore

import (
	"fmt"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Store is a [store.Store] that asks a [Handler] somewhere else. Its methods
// may be called from many goroutines. Use [New].
type Store struct {
	address string
	bearer  *string // behind a pointer, where no verb of fmt shows the secret
	client  *http.Client
	timeout time.Duration
}

var _ store.Store = (*Store)(nil)

// New returns a Store that asks the service at baseURL, where a [Handler] is
// mounted. Nil Options are fine. It does not connect.
//
// The URL is https, or http for a loopback host, and may have a path. The
// secret is the one that the Handler was given: 32 to 1,024 random bytes.
func New(baseURL string, secret []byte, o *Options) (*Store, error) {
	header, err := authorization(secret)
	if err != nil {
		return nil, fmt.Errorf("remotestore: %w", err)
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("remotestore: %w", err)
	}
	opts := o.withDefaults()
	address, err := address(baseURL, opts.InsecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("remotestore: %w", err)
	}
	client := &http.Client{Transport: opts.Transport, CheckRedirect: noRedirect}
	return &Store{address: address, bearer: &header, client: client, timeout: opts.Timeout}, nil
}

// noRedirect makes a redirect an answer like any other that is not ours. To
// follow it would carry the secret away.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes the connections that are idle, which otherwise end by
// themselves half a minute after their last use. The Store remains usable. The
// error is nil.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
