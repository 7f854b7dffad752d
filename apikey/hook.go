package apikey

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A hookedWriter calls begin before each call that may send the header, with the
// status that the call names or 0.
type hookedWriter struct {
	http.ResponseWriter
	begin func(status int)
}

func (w *hookedWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *hookedWriter) Write(b []byte) (int, error) {
	w.begin(0)
	return w.ResponseWriter.Write(b)
}

// WriteString implements [io.StringWriter].
func (w *hookedWriter) WriteString(s string) (int, error) {
	w.begin(0)
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements [io.ReaderFrom], with which net/http sends files without
// copying them.
func (w *hookedWriter) ReadFrom(src io.Reader) (int64, error) {
	w.begin(0)
	return io.Copy(w.ResponseWriter, src)
}

// FlushError is for [http.ResponseController], which would otherwise unwrap w.
func (w *hookedWriter) FlushError() error {
	w.begin(0)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for [http.ResponseController].
func (w *hookedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type hookedFlusher struct{ w *hookedWriter }

func (f hookedFlusher) Flush() { _ = f.w.FlushError() }

type hookedHijacker struct{ w *hookedWriter }

func (h hookedHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.w.ResponseWriter.(http.Hijacker).Hijack()
	if err == nil {
		h.w.begin(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// isFinal reports whether a header with this status is the last of a response.
func isFinal(status int) bool { return status >= 200 || status == http.StatusSwitchingProtocols }

// hook returns w with begin called before each call that may send the header. The
// result implements [http.Flusher], [http.Hijacker], [http.Pusher] and
// [http.CloseNotifier] if w does: handlers ask for them by type assertion.
func hook(w http.ResponseWriter, begin func(status int)) http.ResponseWriter {
	h := &hookedWriter{w, begin}
	_, flusher := w.(http.Flusher)
	_, hijacker := w.(http.Hijacker)
	pusher, _ := w.(http.Pusher)
	//lint:ignore SA1019 handlers still use it
	notifier, _ := w.(http.CloseNotifier)
	switch {
	case pusher == nil && notifier == nil:
		return h.with(flusher, hijacker)
	case pusher == nil:
		return h.withNotifier(flusher, hijacker, notifier)
	case notifier == nil:
		return h.withPusher(flusher, hijacker, pusher)
	}
	return h.withBoth(flusher, hijacker, pusher, notifier)
}

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
