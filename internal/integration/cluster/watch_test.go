package cluster_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A watched token is what one instance has answered for it. Instants are in
// Unix nanoseconds.
type watchedToken struct {
	Accepted     int64
	LastAccepted int64 // when the last one that was accepted began
	Refused      int64 // when the first refusal of the credential had ended; 0: none
	Refusals     int64 // in all
	After        int64 // accepted although it had been refused
	Wrong        int64 // refusals other than as revoked, or for want of a plan
	Unavailable  int64
}

// A watchArgs names the tokens that are validated over and over.
type watchArgs struct {
	Name   string
	Tokens []string
	Rest   time.Duration // between two rounds
}

type watch struct {
	args watchArgs
	stop chan struct{}
	over chan struct{}

	mu     sync.Mutex
	tokens []watchedToken
}

// watches are those under way, by name.
type watches struct {
	mu     sync.Mutex
	byName map[string]*watch
}

// watch returns when each of the tokens was asked for once.
func (r *role) watch(a watchArgs) struct{} {
	w := &watch{args: a, stop: make(chan struct{}), over: make(chan struct{}), tokens: make([]watchedToken, len(a.Tokens))}
	r.watches.mu.Lock()
	if r.watches.byName == nil {
		r.watches.byName = map[string]*watch{}
	}
	r.watches.byName[a.Name] = w
	r.watches.mu.Unlock()
	w.round(r.keys)
	go w.run(r.keys)
	return struct{}{}
}

func (w *watch) run(keys *apikey.Manager) {
	defer close(w.over)
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		rest := w.args.Rest
		if w.allRefused() {
			rest = max(rest, time.Millisecond) // others need the processor
		}
		if rest > 0 {
			time.Sleep(rest)
		}
		w.round(keys)
	}
}

func (w *watch) round(keys *apikey.Manager) {
	for i, token := range w.args.Tokens {
		begin := time.Now().UnixNano()
		_, err := keys.Validate(context.Background(), token)
		w.note(i, begin, err)
	}
}

func (w *watch) note(i int, begin int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.tokens[i]
	switch {
	case err == nil:
		t.Accepted++
		t.LastAccepted = begin
		if t.Refused != 0 {
			t.After++
		}
	case errors.Is(err, apikey.ErrUnavailable):
		t.Unavailable++
	default:
		t.Refusals++
		if t.Refused == 0 {
			t.Refused = time.Now().UnixNano()
		}
		if !errors.Is(err, apikey.ErrRevoked) && !errors.Is(err, apikey.ErrNotEntitled) {
			t.Wrong++
		}
	}
}

// A watchedArgs asks for what a watch has seen so far.
type watchedArgs struct {
	Name string
	Wait time.Duration // for all to be refused, at most
	Stop bool          // and then end it
}

func (r *role) watched(a watchedArgs) []watchedToken {
	r.watches.mu.Lock()
	w := r.watches.byName[a.Name]
	r.watches.mu.Unlock()
	for end := time.Now().Add(a.Wait); time.Now().Before(end) && !w.allRefused(); {
		time.Sleep(5 * time.Millisecond)
	}
	if a.Stop {
		close(w.stop)
		<-w.over
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]watchedToken(nil), w.tokens...)
}

func (w *watch) allRefused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.tokens {
		if w.tokens[i].Refused == 0 {
			return false
		}
	}
	return true
}
