package databases_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// a read whose connection breaks off halfway is a failure. Half of the rows are
// never taken for all of them.
func TestReadThatBreaksOff(t *testing.T) {
	for _, server := range proxied {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			dsn := server.dsn(t)
			direct := sqlStore(t, server.dialect, openDB(t, server.driver, dsn))
			for i := range 12 {
				r := record("o", fmt.Sprint("k", i))
				r.Metadata = map[string]string{"long": strings.Repeat("x", 20<<10)} // together more than the driver reads at once
				insert(t, direct, r)
			}
			b := newBreaker(t, server.protocol.address(dsn))
			through := newStore(t, server.dialect, openDB(t, server.driver, server.protocol.through(dsn, b.Addr().String())), nil)
			if page, err := through.List(t.Context(), store.Query{Owner: "o"}); err != nil || len(page.Records) != 12 {
				t.Fatalf("before: got %d records, %v", len(page.Records), err)
			}
			b.left.Store(100 << 10)
			page, err := through.List(t.Context(), store.Query{Owner: "o"})
			if err == nil {
				t.Errorf("got %d of 12 records and no error", len(page.Records))
			}
			if b.left.Load() > 0 {
				t.Error("no connection was broken off")
			}
			if page, err := through.List(t.Context(), store.Query{Owner: "o"}); err != nil || len(page.Records) != 12 {
				t.Errorf("afterwards: got %d records, %v", len(page.Records), err)
			}
		})
	}
}

// A breaker passes everything on, and breaks a connection off once, after as many
// bytes of the server as it is told.
type breaker struct {
	net.Listener
	left atomic.Int64 // until then; 0 and less: not any more
}

func newBreaker(t *testing.T, server string) *breaker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &breaker{Listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.DialTimeout("tcp", server, 10*time.Second)
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(up, client)
				up.Close()
			}()
			go func() {
				b.pass(client, up)
				client.Close()
			}()
		}
	}()
	return b
}

func (b *breaker) pass(client, server net.Conn) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if before := b.left.Load(); before > 0 && b.left.Add(-int64(n)) <= 0 {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
