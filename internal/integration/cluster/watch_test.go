package cluster_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A watchedToken holds one instance's results for a token. Times are Unix nanoseconds.
type watchedToken struct {
	Accepted     int64
	LastAccepted int64 // start of the last accepted validation
	Refused      int64 // end of the first refusal of the credential, or 0
	Refusals     int64 // number of refusals
	After        int64 // validations accepted after a refusal
	Wrong        int64 // refusals for other reasons than revocation or a missing plan
	Unavailable  int64
}

// watchArgs holds tokens to be validated repeatedly.
type watchArgs struct {
	Name   string
	Tokens []string
	Rest   time.Duration // between two rounds
}

type watch struct {
	args watchArgs
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	tokens []watchedToken
}

// watches holds the running watches, by name.
type watches struct {
	mu     sync.Mutex
	byName map[string]*watch
}

// watch starts a watch and returns when each token was validated once.
func (r *role) watch(a watchArgs) struct{} {
	w := &watch{args: a, stop: make(chan struct{}), done: make(chan struct{}), tokens: make([]watchedToken, len(a.Tokens))}
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
	defer close(w.done)
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		rest := w.args.Rest
		if w.allRefused() {
			rest = max(rest, time.Millisecond) // other goroutines need the processor
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

// watchedArgs request the results of a watch.
type watchedArgs struct {
	Name string
	Wait time.Duration // maximum wait until all tokens are refused
	Stop bool          // end the watch afterwards
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
		<-w.done
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
