package apikey_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// testDeadline is in the far future.
var testDeadline = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// notes holds the observations of a handler, an outer middleware and a client.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// A conformance is a feature that net/http implements with its own request and
// ResponseWriter.
type conformance struct {
	name    string
	handler func(n *notes, w http.ResponseWriter, r *http.Request)
	outside func(n *notes, r *http.Request)                     // after the handler; may be nil
	body    func() (contentType string, body io.Reader)         // may be nil
	raw     string                                              // instead of body: the rest of an HTTP/1.1 request after the first header lines
	header  http.Header                                         // of the request
	trailer http.Header                                         // of the request
	client  func(n *notes, resp *http.Response, content string) // may be nil
}

func upload() (string, io.Reader) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("name", "value")
	part, _ := m.CreateFormFile("file", "file.txt")
	_, _ = part.Write(bytes.Repeat([]byte("x"), 4096))
	_ = m.Close()
	return m.FormDataContentType(), &b
}

func form() (string, io.Reader) {
	return "application/x-www-form-urlencoded", strings.NewReader("name=value")
}

var conformances = []conformance{
	{
		name: "multipart files on disk", body: upload,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			n.add("parsed %v, files %d", r.ParseMultipartForm(0), countUploads())
		},
		outside: func(n *notes, r *http.Request) {
			n.add("outside: form %t, files %d", r.MultipartForm != nil && len(r.MultipartForm.File) == 1, countUploads())
		},
	},
	{
		name: "multipart files on disk, after an abort", body: upload,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			n.add("parsed %v, files %d", r.ParseMultipartForm(0), countUploads())
			panic(http.ErrAbortHandler)
		},
	},
	{
		name: "multipart reader", body: upload,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			_, err := r.MultipartReader()
			n.add("%v", err)
		},
		outside: func(n *notes, r *http.Request) {
			_, err := r.MultipartReader()
			n.add("again %v", err)
		},
	},
	{
		name: "form", body: form,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) { n.add("%s", r.FormValue("name")) },
		outside: func(n *notes, r *http.Request) { n.add("outside %v %v", r.Form, r.PostForm) },
	},
	{
		name: "pattern and path values",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /{kind}/{rest...}", func(w http.ResponseWriter, r *http.Request) { n.add("%s %s", r.Pattern, r.PathValue("kind")) })
			mux.ServeHTTP(w, r)
		},
		outside: func(n *notes, r *http.Request) {
			n.add("outside %q %q %q", r.Pattern, r.PathValue("kind"), r.PathValue("rest"))
		},
	},
	{
		name: "trailers of the request", body: form, trailer: http.Header{"X-Sum": {"42"}},
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			n.add("%v %v", r.Trailer, err)
		},
		outside: func(n *notes, r *http.Request) { n.add("outside %v", r.Trailer) },
	},
	{
		name: "trailers of the request that were not announced",
		raw:  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			n.add("%s %v %v", content, r.Trailer, err)
		},
		outside: func(n *notes, r *http.Request) { n.add("outside %v", r.Trailer) },
	},
	{
		name: "trailers of the response",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Announced")
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "x")
			w.Header().Set("X-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-Other", "2")
		},
		client: func(n *notes, resp *http.Response, content string) { n.add("%s %v", content, resp.Trailer) },
	},
	{
		name: "interfaces of the writer",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			_, flusher := w.(http.Flusher)
			_, hijacker := w.(http.Hijacker)
			_, pusher := w.(http.Pusher)
			_, notifier := w.(interface{ CloseNotify() <-chan bool })
			_, text := w.(io.StringWriter)
			n.add("%t %t %t %t %t", flusher, hijacker, pusher, notifier, text)
			if _, reader := w.(io.ReaderFrom); !reader && r.ProtoMajor == 1 {
				n.add("no ReaderFrom")
			}
		},
	},
	{
		name: "response controller", body: form,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			n.add("%v %v %v", c.EnableFullDuplex(), c.SetReadDeadline(testDeadline), c.SetWriteDeadline(testDeadline))
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusOK)
			n.add("%v", c.Flush())
		},
	},
	{
		name: "hijack",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			n.add("%t", errors.Is(err, http.ErrNotSupported))
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
				_ = conn.Close()
				return
			}
			w.WriteHeader(http.StatusOK)
		},
		client: func(n *notes, resp *http.Response, content string) { n.add("%d %s", resp.StatusCode, content) },
	},
	{
		name: "a file by io.Copy",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			f, err := os.Open("conformance_test.go")
			if err == nil {
				defer f.Close()
				_, err = io.Copy(w, f)
			}
			n.add("%v", err)
		},
		client: func(n *notes, resp *http.Response, content string) { n.add("%d bytes", len(content)) },
	},
	{
		name: "http.ServeContent",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.txt", testDeadline, strings.NewReader("0123456789"))
		},
		header: http.Header{"Range": {"bytes=2-4"}},
		client: func(n *notes, resp *http.Response, content string) {
			n.add("%d %s %s", resp.StatusCode, content, resp.Header.Get("Content-Range"))
		},
	},
	{
		name: "early hints",
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		},
		client: func(n *notes, resp *http.Response, _ string) { n.add("%d", resp.StatusCode) },
	},
	{
		name: "100 continue", body: form, header: http.Header{"Expect": {"100-continue"}},
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			n.add("%s %v", content, err)
			w.WriteHeader(http.StatusOK)
		},
		client: func(n *notes, resp *http.Response, _ string) { n.add("%d", resp.StatusCode) },
	},
	{
		name: "connection fields of the request", body: form,
		handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
			_, server := r.Context().Value(http.ServerContextKey).(*http.Server)
			n.add("%s %s %t %t %d %v %v", r.Proto, r.Method, r.TLS != nil, r.RemoteAddr != "", r.ContentLength, r.TransferEncoding, server)
		},
	},
}

// H-11, H-15: the features that net/http implements with its own request and
// ResponseWriter work inside the middleware, over HTTP/1.1 and HTTP/2.
func TestMiddlewareConformance(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"Authorization", "X-API-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	refused := func(next http.Handler) http.Handler {
		return newManager(t, memstore.New(), &apikey.Options{Headers: []string{"X-API-Key"}, ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			w.Header().Del("Cache-Control")
			next.ServeHTTP(w, r)
		}}).Require()(next)
	}
	nested := func(next http.Handler) http.Handler { return m.Require()(m.Require()(next)) }
	for _, proto := range []int{1, 2} {
		for _, c := range conformances {
			if c.raw != "" && proto == 2 {
				continue
			}
			t.Run(fmt.Sprintf("HTTP/%d/%s", proto, c.name), func(t *testing.T) {
				without := func(next http.Handler) http.Handler { return next }
				want := c.run(t, proto, without, "X-Other", token)
				if strings.Contains(c.name, "abort") {
					want = slices.Replace(want, len(want)-1, len(want), "afterwards: files 0") // over HTTP/1.1, net/http leaves the files
				}
				if want[len(want)-1] != "afterwards: files 0" {
					t.Errorf("net/http itself leaves files: %q", want)
				}
				for name, inside := range map[string]func() []string{
					"Require, Authorization": func() []string { return c.run(t, proto, m.Require(), "Authorization", "Bearer "+token) },
					"Require, X-API-Key":     func() []string { return c.run(t, proto, m.Require(), "X-API-Key", token) },
					"nested":                 func() []string { return c.run(t, proto, nested, "X-API-Key", token) },
					"ErrorHandler":           func() []string { return c.run(t, proto, refused, "X-Other", token) },
				} {
					if got := inside(); !slices.Equal(got, want) {
						t.Errorf("inside %s:\n got %q\nwant %q", name, got, want)
					}
				}
			})
		}
	}
}

// run sends one request to a server with the handler inside the middleware, and returns
// the notes.
func (c *conformance) run(t *testing.T, proto int, middleware func(http.Handler) http.Handler, header, value string) []string {
	t.Helper()
	n := &notes{}
	h := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.handler(n, w, r) }))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if c.outside != nil {
			c.outside(n, r)
		}
	}))
	server.EnableHTTP2 = proto == 2
	server.StartTLS()
	ended := func() []string {
		server.Client().CloseIdleConnections()
		server.Close()
		_ = server.Config.Shutdown(context.Background())
		if !strings.Contains(c.name, "abort") || proto == 2 || header != "X-Other" {
			n.add("afterwards: files %d", countUploads())
		} else {
			n.add("afterwards: files 0")
		}
		for _, f := range uploads() {
			_ = os.Remove(f)
		}
		return n.lines
	}
	if c.raw != "" {
		c.sendRaw(t, server, header, value)
		return ended()
	}
	var body io.Reader
	contentType := ""
	method := http.MethodGet
	if c.body != nil {
		contentType, body = c.body()
		method = http.MethodPost
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code != http.StatusContinue { // which the server may send at any time
			n.add("%d %s", code, h.Get("Link"))
		}
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, method, server.URL+"/items/1/2", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set(header, value)
	if r.Trailer = c.trailer; r.Trailer != nil {
		r.ContentLength = -1
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		if !strings.Contains(c.name, "abort") {
			t.Fatal(err)
		}
		return ended()
	}
	content, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil && !strings.Contains(c.name, "abort") {
		t.Fatal(err)
	}
	if resp.ProtoMajor != proto {
		t.Fatalf("protocol: got HTTP/%d, want HTTP/%d", resp.ProtoMajor, proto)
	}
	if c.client != nil {
		c.client(n, resp, string(content))
	}
	return ended()
}

func (c *conformance) sendRaw(t *testing.T, server *httptest.Server, header, value string) {
	t.Helper()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: roots, ServerName: "example.com"}}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n%s: %s\r\n%s", header, value, c.raw)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
}

// uploads returns the temporary files of net/http.
func uploads() []string {
	files, _ := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
	return files
}

func countUploads() int { return len(uploads()) }
