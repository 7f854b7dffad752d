package cluster_test

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/keyhatch/keyhatch/store"
)

// A watchedStore counts look-ups, and can hold one after it has read the record.
type watchedStore struct {
	store.Store
	reads atomic.Int64

	mu   sync.Mutex
	next *breakpoint // for the next look-up, or nil
	held *breakpoint // the latest breakpoint
}

// A breakpoint is where the next look-up is held.
type breakpoint struct{ reached, left chan struct{} }

func (s *watchedStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	s.reads.Add(1)
	r, err := s.Store.Lookup(ctx, d)
	s.mu.Lock()
	b := s.next
	s.next = nil
	s.mu.Unlock()
	if b != nil {
		close(b.reached)
		<-b.left
	}
	return r, err
}

// pause holds the next look-up until resume. Paused returns once it is held.
func (r *role) pause(struct{}) struct{} {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.held = &breakpoint{make(chan struct{}), make(chan struct{})}
	r.store.next = r.store.held
	return struct{}{}
}

func (r *role) paused(struct{}) struct{} {
	<-r.store.breakpoint().reached
	return struct{}{}
}

func (r *role) resume(struct{}) struct{} {
	close(r.store.breakpoint().left)
	return struct{}{}
}

func (s *watchedStore) breakpoint() *breakpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}
