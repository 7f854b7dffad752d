package cluster_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// if a key is revoked elsewhere while a process is stopped, the process refuses the key
// in every request that begins after it has continued.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	for _, bus := range fully(redisBus, buses...) {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, sharedServers(t), 4, setup{Bus: bus, Shared: bus == redisBus})
			s := &stopped{cluster: c, revoker: c.members[0], members: c.members[1:]}
			for range testkit.Scale(1, 3) {
				s.round(testkit.Scale(5*time.Second, 30*time.Second))
			}
			for range testkit.Scale(0, 40) {
				s.round(detection + 200*time.Millisecond)
			}
			t.Logf("R-09 | bus %s | %d stops, the first %v long | requests after it continued: %d, accepted: %d | keys: %d, first refusal %s after it continued",
				bus, s.stops, testkit.Scale(5*time.Second, 30*time.Second), s.requests, s.accepted, s.keys, spread(s.refused))
		})
	}
}

// watchers of one instance keep all its processors busy, so that one of them is likely to run
// first when the instance continues.
var watchers = 2 * runtime.GOMAXPROCS(0)

type stopped struct {
	*cluster
	revoker *member
	members []*member

	mu                 sync.Mutex
	stops, keys        int
	requests, accepted int64
	refused            []time.Duration
}

// round stops all instances except one, revokes keys there, and continues them.
func (s *stopped) round(d time.Duration) {
	s.Helper()
	keys := s.create(s.revoker, 20)
	for _, m := range s.members {
		for w := range watchers {
			m.watch(fmt.Sprint("stopped", w), 0, keys)
		}
		if err := m.stop(); err != nil {
			s.Fatal(err)
		}
	}
	began := time.Now()
	for _, k := range keys {
		s.revoker.do("revoke", k, accepted)
	}
	time.Sleep(time.Until(began.Add(d)))
	var wg sync.WaitGroup
	for _, m := range s.members {
		wg.Go(func() { s.goOn(m, keys) })
	}
	wg.Wait()
	s.awaitBus(s.members...)
}

// goOn sends requests to an instance as soon as the instance continues, in addition to those that
// its watchers make.
func (s *stopped) goOn(m *member, keys []key) {
	at, err := m.resume()
	if err != nil {
		s.Error(err)
		return
	}
	var requests, wrong int64
	for _, k := range keys {
		var d done
		if err := m.call("validate", k.op, &d); err != nil {
			s.Error(err)
			return
		}
		requests++
		if d.Answer == accepted {
			wrong++
		}
	}
	var seen []watchedToken
	for w := range watchers {
		var some []watchedToken
		if err := m.call("watched", watchedArgs{Name: fmt.Sprint("stopped", w), Wait: patience / 2, Stop: true}, &some); err != nil {
			s.Error(err)
			return
		}
		seen = append(seen, some...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops++
	s.keys += len(keys)
	for _, w := range seen {
		requests += w.Refusals
		if w.LastAccepted > at {
			wrong++
			s.Errorf("a request that began %v after the process continued was accepted", time.Duration(w.LastAccepted-at))
		}
		if w.Refused == 0 || w.Wrong > 0 || w.After > 0 {
			s.Errorf("got %+v, want a key that is refused as revoked", w)
		}
		s.refused = append(s.refused, time.Duration(w.Refused-at))
	}
	s.requests += requests
	s.accepted += wrong
	if wrong > 0 {
		s.Errorf("requests accepted after the process continued: got %d, want 0", wrong)
	}
}
