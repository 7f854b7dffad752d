package remotestore

import (
	"fmt"
	"net/http"

	"github.com/keyhatch/keyhatch/internal/httpclient"
	"github.com/keyhatch/keyhatch/store"
)

// A Store is a [store.Store] that calls a [Handler] over HTTP. Its methods may be
// called from many goroutines. Create one with [New].
type Store struct {
	address string // with a slash at the end, to which method names are appended
	client  *httpclient.Client
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
	u, err := httpclient.CheckURL(baseURL, opts.InsecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("remotestore: baseURL %w", err)
	}
	client := httpclient.New(opts.Transport, opts.Timeout, http.Header{"Authorization": {header}}, http.Header{
		"Content-Type":    {contentType},
		"Accept":          {contentType},
		"Accept-Encoding": {"identity"},
	})
	return &Store{address: u.JoinPath("v1").String() + "/", client: client}, nil
}

// Close closes idle connections, which would otherwise close 30 s after their last
// use. The Store remains usable. Close always returns nil.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}
