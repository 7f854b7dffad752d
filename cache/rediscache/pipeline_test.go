package rediscache_test

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// Calls that arrive while other round trips are in flight are sent together.
func TestConcurrentCallsGoTogether(t *testing.T) {
	t.Parallel()
	const calls = 12 // all fit into one read of the server
	var trips, received atomic.Int64
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
		received.Add(int64(n))
		<-together // until every call has been sent or waits
		for range n {
			conn.Write([]byte("*2\r\n$3\r\nxyz\r\n:-1\r\n"))
		}
	})
	c := open(t, address, nil)
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			if _, _, err := c.Get(t.Context(), newKey()); err == nil || err == cache.ErrMiss {
				t.Errorf("Get of a malformed entry: got %v, want an error", err)
			}
		})
	}
	testkit.Await(t, "every call has been sent or waits", func() bool { return c.Waiting()+int(received.Load()) == calls })
	close(together)
	running.Wait()
	// Four round trips may carry one call each. The scheduler decides how many of
	// the second scripts are sent alone.
	if n := trips.Load(); n > calls*2*3/4 {
		t.Errorf("%d concurrent calls, each of two scripts: got %d round trips, want fewer", calls, n)
	}
}
