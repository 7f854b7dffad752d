package apikey_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// H-11: after a call that could have sent the header but did not, the response is still
// private.
func TestStaysPrivate(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"X-API-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	for name, call := range map[string]func(t *testing.T, outer *resettableWriter, w http.ResponseWriter){
		"ReadFrom of nothing": func(t *testing.T, _ *resettableWriter, w http.ResponseWriter) {
			if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("")); n != 0 || err != nil {
				t.Errorf("ReadFrom = %d, %v", n, err)
			}
		},
		"a Flush that is not supported": func(t *testing.T, _ *resettableWriter, w http.ResponseWriter) {
			if err := http.NewResponseController(w).Flush(); err == nil {
				t.Error("Flush of a writer that fails succeeded")
			}
		},
		"a Write that fails": func(t *testing.T, outer *resettableWriter, w http.ResponseWriter) {
			outer.fails = true
			if _, err := io.WriteString(w, "x"); err == nil {
				t.Error("Write to a writer that fails succeeded")
			}
			outer.fails = false
		},
		"an invalid status code": func(t *testing.T, _ *resettableWriter, w http.ResponseWriter) {
			defer func() {
				if recover() == nil {
					t.Error("WriteHeader(1000) did not panic")
				}
			}()
			w.WriteHeader(1000)
		},
		"headers that are replaced": func(_ *testing.T, outer *resettableWriter, _ http.ResponseWriter) { outer.header = http.Header{} },
	} {
		outer := &resettableWriter{ResponseRecorder: httptest.NewRecorder(), header: http.Header{}}
		m.Require()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			call(t, outer, w)
			w.Header().Set("Cache-Control", "public, max-age=3600")
			w.Header().Set("X-LiteSpeed-Cache-Control", "public, max-age=3600")
			_, _ = io.WriteString(w, "o's")
		})).ServeHTTP(outer, requestWith(t, "X-API-Key", token))
		got := outer.Result().Header
		if cc := got.Get("Cache-Control"); !strings.Contains(cc, "private") || strings.Contains(cc, "public") || got.Get("X-LiteSpeed-Cache-Control") != "" {
			t.Errorf("%s: got %v, want a private response", name, got)
		}
	}
}

// H-11: a directive within quotes is not a directive.
func TestStaysPrivateWithQuotes(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), &apikey.Options{Headers: []string{"X-API-Key"}})
	token := create(t, m, "o").Secret.Reveal()
	for _, control := range []string{
		`max-age=60, no-cache="set-cookie, private, x-foo"`, `max-age=60, no-cache="x, no-store, y"`, `max-age="60, private`, `no-store`,
	} {
		w := httptest.NewRecorder()
		m.Require()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", control)
			_, _ = io.WriteString(w, "o's")
		})).ServeHTTP(w, requestWith(t, "X-API-Key", token))
		if got := w.Header().Get("Cache-Control"); !strings.HasPrefix(got, "private, ") {
			t.Errorf("Cache-Control of a handler that sends %q: got %q, want private first", control, got)
		}
	}
}

// A resettableWriter is the writer of an outer middleware that buffers. It cannot flush.
type resettableWriter struct {
	*httptest.ResponseRecorder
	header http.Header
	fails  bool
}

func (w *resettableWriter) Header() http.Header { return w.header }

func (w *resettableWriter) Flush() bool { return false } // does not implement http.Flusher

func (w *resettableWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *resettableWriter) Write(b []byte) (int, error) {
	if w.fails {
		return 0, io.ErrShortWrite
	}
	w.WriteHeader(http.StatusOK)
	return w.ResponseRecorder.Write(b)
}

func (w *resettableWriter) WriteHeader(status int) {
	for name, values := range w.header {
		w.ResponseRecorder.Header()[name] = values
	}
	w.ResponseRecorder.WriteHeader(status)
}
