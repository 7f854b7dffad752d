package apikey

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A hookedWriter calls begin before each call that may send the header, until the
// header has certainly been sent. It passes the status of WriteHeader, or 0 for
// other calls.
type hookedWriter struct {
	http.ResponseWriter
	begin func(status int)
	sent  bool
}

// before must be called before each call that may send the header. If a call fails or has nothing
// to send, the header may not be sent, and the handler can still change the header.
func (w *hookedWriter) before(status int) {
	if !w.sent {
		w.begin(status)
	}
}

func (w *hookedWriter) WriteHeader(status int) {
	w.before(status)
	w.ResponseWriter.WriteHeader(status)
	w.sent = w.sent || isFinal(status)
}

func (w *hookedWriter) Write(b []byte) (int, error) {
	w.before(0)
	n, err := w.ResponseWriter.Write(b)
	w.sent = w.sent || err == nil
	return n, err
}

// WriteString implements [io.StringWriter].
func (w *hookedWriter) WriteString(s string) (int, error) {
	w.before(0)
	n, err := io.WriteString(w.ResponseWriter, s)
	w.sent = w.sent || err == nil
	return n, err
}

// ReadFrom implements [io.ReaderFrom], with which net/http sends files without
// copying them.
func (w *hookedWriter) ReadFrom(src io.Reader) (int64, error) {
	w.before(0)
	n, err := io.Copy(w.ResponseWriter, src)
	w.sent = w.sent || n > 0
	return n, err
}

// FlushError is for [http.ResponseController], which would otherwise unwrap w.
func (w *hookedWriter) FlushError() error {
	w.before(0)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.sent = w.sent || err == nil
	return err
}

// Unwrap is for [http.ResponseController].
func (w *hookedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type hookedFlusher struct{ w *hookedWriter }

func (f hookedFlusher) Flush() { _ = f.w.FlushError() }

type hookedHijacker struct{ w *hookedWriter }

func (h hookedHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.w.ResponseWriter.(http.Hijacker).Hijack()
	if err == nil {
		h.w.before(http.StatusSwitchingProtocols)
		h.w.sent = true
	}
	return conn, rw, err
}

// isFinal reports whether a header with this status is the last one of a response.
// For a status that is not valid, net/http panics and sends nothing.
func isFinal(status int) bool {
	return status >= 200 && status <= 999 || status == http.StatusSwitchingProtocols
}

// writer returns w for the next handler. The result implements [http.Flusher],
// [http.Hijacker], [http.Pusher] and http.CloseNotifier if the wrapped writer does,
// since handlers find them by type assertion.
func (w *hookedWriter) writer() http.ResponseWriter {
	_, flusher := w.ResponseWriter.(http.Flusher)
	_, hijacker := w.ResponseWriter.(http.Hijacker)
	pusher, _ := w.ResponseWriter.(http.Pusher)
	notifier, _ := w.ResponseWriter.(closeNotifier)
	switch {
	case pusher == nil && notifier == nil:
		return w.with(flusher, hijacker)
	case pusher == nil:
		return w.withNotifier(flusher, hijacker, notifier)
	case notifier == nil:
		return w.withPusher(flusher, hijacker, pusher)
	}
	return w.withBoth(flusher, hijacker, pusher, notifier)
}

// A closeNotifier is an http.CloseNotifier, which is deprecated but still in use.
type closeNotifier interface{ CloseNotify() <-chan bool }

func (w *hookedWriter) with(flusher, hijacker bool) http.ResponseWriter {
	switch {
	case flusher && hijacker:
		return struct {
			*hookedWriter
			hookedFlusher
			hookedHijacker
		}{w, hookedFlusher{w}, hookedHijacker{w}}
	case flusher:
		return struct {
			*hookedWriter
			hookedFlusher
		}{w, hookedFlusher{w}}
	case hijacker:
		return struct {
			*hookedWriter
			hookedHijacker
		}{w, hookedHijacker{w}}
	}
	return w
}

func (w *hookedWriter) withNotifier(flusher, hijacker bool, n closeNotifier) http.ResponseWriter {
	switch {
	case flusher && hijacker:
		return struct {
			*hookedWriter
			hookedFlusher
			hookedHijacker
			closeNotifier
		}{w, hookedFlusher{w}, hookedHijacker{w}, n}
	case flusher:
		return struct {
			*hookedWriter
			hookedFlusher
			closeNotifier
		}{w, hookedFlusher{w}, n}
	case hijacker:
		return struct {
			*hookedWriter
			hookedHijacker
			closeNotifier
		}{w, hookedHijacker{w}, n}
	}
	return struct {
		*hookedWriter
		closeNotifier
	}{w, n}
}

func (w *hookedWriter) withPusher(flusher, hijacker bool, p http.Pusher) http.ResponseWriter {
	switch {
	case flusher && hijacker:
		return struct {
			*hookedWriter
			hookedFlusher
			hookedHijacker
			http.Pusher
		}{w, hookedFlusher{w}, hookedHijacker{w}, p}
	case flusher:
		return struct {
			*hookedWriter
			hookedFlusher
			http.Pusher
		}{w, hookedFlusher{w}, p}
	case hijacker:
		return struct {
			*hookedWriter
			hookedHijacker
			http.Pusher
		}{w, hookedHijacker{w}, p}
	}
	return struct {
		*hookedWriter
		http.Pusher
	}{w, p}
}

func (w *hookedWriter) withBoth(flusher, hijacker bool, p http.Pusher, n closeNotifier) http.ResponseWriter {
	switch {
	case flusher && hijacker:
		return struct {
			*hookedWriter
			hookedFlusher
			hookedHijacker
			http.Pusher
			closeNotifier
		}{w, hookedFlusher{w}, hookedHijacker{w}, p, n}
	case flusher:
		return struct {
			*hookedWriter
			hookedFlusher
			http.Pusher
			closeNotifier
		}{w, hookedFlusher{w}, p, n}
	case hijacker:
		return struct {
			*hookedWriter
			hookedHijacker
			http.Pusher
			closeNotifier
		}{w, hookedHijacker{w}, p, n}
	}
	return struct {
		*hookedWriter
		http.Pusher
		closeNotifier
	}{w, p, n}
}
