package testkit

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// startEcho starts a server that sends back the data that it receives, and returns its
// address.
func startEcho(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// wantEcho sends a string and fails unless the server returns it.
func wantEcho(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("echo of %q: got %q, %v", text, got, err)
	}
}

// wantSilence fails if data arrives within a while. Data that is not held arrives within
// microseconds.
func wantSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	defer conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == io.EOF {
		t.Fatalf("got %d bytes, %v, want silence", n, err)
	}
}

func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := io.ReadAll(conn); len(got) > 0 {
		t.Fatalf("got %q, %v, want a closed connection", got, err)
	}
}

func TestProxyHoldsAndHeals(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	conn := dial(t, p)
	wantEcho(t, conn, "before")
	for _, f := range []Fault{BlackHole, {HoldToServer: true}, {HoldFromServer: true}} {
		p.Inject(f)
		if _, err := io.WriteString(conn, "held"); err != nil {
			t.Fatal(err)
		}
		wantSilence(t, conn)
		p.Heal()
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "held" {
			t.Fatalf("%+v: got %q, %v after Heal, want the held data", f, got, err)
		}
	}
}

func TestProxyDelaysAndSlices(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	conn := dial(t, p)
	p.Inject(Fault{Delay: 50 * time.Millisecond, Slice: time.Millisecond})
	began := time.Now()
	wantEcho(t, conn, "a string of more than sixteen bytes")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("the round trip took %v, want at least 50 ms each way", took)
	}
}

func TestProxyResets(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	conn := dial(t, p)
	wantEcho(t, conn, "before")
	p.Inject(Fault{Reset: true})
	wantClosed(t, conn)
	if refused, err := net.Dial("tcp", p.Address()); err == nil { // it may see the reset already
		wantClosed(t, refused)
		refused.Close()
	}
	if p.Refused() != 1 || p.Accepted() != 1 {
		t.Errorf("got %d refused and %d accepted connections, want one each", p.Refused(), p.Accepted())
	}
	p.Heal()
	wantEcho(t, dial(t, p), "after")
}

func TestProxyBlackholesConnections(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	conn := dial(t, p)
	wantEcho(t, conn, "before")
	p.Blackhole()
	if _, err := io.WriteString(conn, "lost"); err != nil {
		t.Fatal(err)
	}
	wantSilence(t, conn)
	wantEcho(t, dial(t, p), "another connection")
	p.Sever()
	wantClosed(t, conn)
}

func TestProxyClosesLate(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	conn := dial(t, p)
	wantEcho(t, conn, "before")
	began := time.Now()
	p.Inject(Fault{LateClose: 100 * time.Millisecond})
	wantClosed(t, conn)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("the connection was closed after %v, want at least 100 ms", took)
	}
}

func TestProxyIntercepts(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t))
	p.Intercept(func(x Piece) bool { return x.ToServer || !bytes.Contains(x.Bytes, []byte("end")) })
	conn, other := dial(t, p), dial(t, p)
	wantEcho(t, conn, "text")
	if _, err := io.WriteString(conn, "the end"); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, conn)
	wantEcho(t, other, "text")
}

func TestDataSourceNames(t *testing.T) {
	t.Parallel()
	const postgres, mysql = "postgres://u:p@127.0.0.1:15432/db?sslmode=disable", "root@tcp(127.0.0.1:13306)/db"
	for name, c := range map[string]struct{ got, want string }{
		"address for PostgreSQL":    {AddressOf(postgres), "127.0.0.1:15432"},
		"address for MySQL":         {AddressOf(mysql), "127.0.0.1:13306"},
		"new address":               {SetAddress(mysql, "[::1]:1"), "root@tcp([::1]:1)/db"},
		"first parameter":           {SetParam(mysql, "a", "b c"), mysql + "?a=b%20c"},
		"another parameter":         {SetParam(postgres, "search_path", "x"), postgres + "&search_path=x"},
		"existing parameter":        {SetParam(postgres, "sslmode", "require"), "postgres://u:p@127.0.0.1:15432/db?sslmode=require"},
		"parameter":                 {GetParam(postgres, "sslmode"), "disable"},
		"parameter that is missing": {GetParam(mysql, "sslmode"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
}
