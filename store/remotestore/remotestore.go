package remotestore

import (
	"fmt"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Store is a [store.Store] that calls a [Handler] over HTTP. Its methods may be
// called from many goroutines. Create one with [New].
type Store struct {
	address string
	bearer  *string // a pointer, so that fmt does not print the secret
	client  *http.Client
	timeout time.Duration
}

var _ store.Store = (*Store)(nil)

// New returns a Store that calls the service at baseURL, where a [Handler] is
// mounted. If o is nil, the defaults are used. New does not connect.
//
// baseURL must be https, or http with a loopback host; see [Options.InsecureHTTP].
// It may have a path, but no user, query or fragment. The secret must be the one
// that the Handler has: 32 to 1,024 random bytes. New returns an error if an
// argument or option is invalid.
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

// noRedirect makes the client return a redirect as the response, which is then
// refused. Following it could send the secret to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes idle connections, which would otherwise close 30 s after their last
// use. The Store remains usable. Close always returns nil.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
