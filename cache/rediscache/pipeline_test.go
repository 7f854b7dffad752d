package rediscache_test

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
)

// Calls that come while others are under way go together, in one round trip for
// many.
func TestConcurrentCallsGoTogether(t *testing.T) {
	t.Parallel()
	const calls = 12 // which fit into one read of the server
	var trips atomic.Int64
	together := make(chan struct{})
	address := serve(t, func(conn net.Conn, text string) {
		n := strings.Count(text, "evalsha")
		switch {
		case strings.Contains(text, "hello"):
			conn.Write([]byte("-ERR unknown command\r\n"))
			return
		case n == 0:
			conn.Write([]byte("+PONG\r\n"))
			return
		}
		trips.Add(1)
		<-together // until all have been asked for
		for range n {
			conn.Write([]byte("*2\r\n$3\r\nxyz\r\n:-1\r\n"))
		}
	})
	c := open(t, "redis://"+address, &rediscache.Options{Timeout: 20 * time.Second})
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			if _, _, err := c.Get(t.Context(), newKey()); err == nil || err == cache.ErrMiss {
				t.Errorf("Get of what is no entry: got %v, want an error", err)
			}
		})
	}
	for c.Waiting() < calls-4 { // 4 are under way
		time.Sleep(time.Millisecond)
	}
	close(together)
	running.Wait()
	// The first four go alone. How many of the second questions do is up to the
	// scheduler.
	if n := trips.Load(); n > calls*2*3/4 {
		t.Errorf("%d calls at once, each of two questions, took %d round trips, want fewer", calls, n)
	}
}
