package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

const (
	// maxBody is several times the size of the largest events, in bytes.
	maxBody = 256 << 10

	// readTime is the time in which a body must arrive. workTime bounds the calls to the
	// Store and the host's functions together. Billing systems give up after 10 seconds or
	// more; Polar is the first.
	readTime = 10 * time.Second
	workTime = 8 * time.Second
)

// A Handler receives the events of one [Source]. Create it with [New]. It may
// be mounted under any path and serves requests concurrently.
//
// A body must arrive within 10 seconds. The calls to the Store and to the functions in
// Options have 8 seconds together, even if the billing system disconnects.
type Handler struct {
	store    Store
	source   Source
	catalog  *entitlement.Catalog
	products products
	opts     Options

	nextWarning atomic.Int64 // when an unauthentic request is logged as a warning again, in Unix nanoseconds
}

// ServeHTTP implements [http.Handler]. The package documentation lists the
// statuses.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed)
		return
	}
	// If w does not support deadlines, the server's own apply. After a refusal,
	// the server reads the rest of the request within the same deadline.
	deadline := http.NewResponseController(w)
	deadline.SetReadDeadline(time.Now().Add(readTime))
	s, body, status, err := h.receive(w, r)
	if err != nil {
		h.opts.Logger.Log(r.Context(), h.levelOf(status), "webhook: request refused",
			"source", h.source.name, "remote", r.RemoteAddr, "reason", err.Error())
		respond(w, status)
		return
	}
	deadline.SetReadDeadline(time.Time{})
	// Process a complete event even if the billing system disconnects: it may
	// have been the last try.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), workTime)
	defer cancel()
	e := Event{ID: s.event, Body: body}
	respond(w, h.finish(ctx, &e, h.process(ctx, &e)))
}

// levelOf returns the level at which a refused request is logged. The first unauthentic
// request in a minute is a warning, since the secret may be wrong. The others are not, since
// anyone can send them.
func (h *Handler) levelOf(status int) slog.Level {
	now, next := time.Now(), h.nextWarning.Load()
	switch {
	case status == http.StatusServiceUnavailable:
		return slog.LevelError
	case status == http.StatusUnauthorized && now.UnixNano() >= next && h.nextWarning.CompareAndSwap(next, now.Add(time.Minute).UnixNano()):
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// receive returns an authentic body. It checks the headers before it reads the
// body, since anyone can send a body.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (s signature, body []byte, status int, err error) {
	if h.source.isCustom() {
		return h.receiveCustom(w, r)
	}
	if s, err = h.source.signature(r.Header); err != nil {
		if err == errUnsigned {
			return s, nil, http.StatusUnauthorized, err
		}
		return s, nil, http.StatusBadRequest, err
	}
	if !s.isFresh(time.Now()) {
		return s, nil, http.StatusUnauthorized, errStale
	}
	if body, status, err = read(w, r); err != nil {
		return s, nil, status, err
	}
	if !s.isSignedBy(h.source.keys(), body) {
		return s, nil, http.StatusUnauthorized, errForged
	}
	return s, body, http.StatusOK, nil
}

// receiveCustom reads the body before it checks the headers, since only the host's code
// knows them.
func (h *Handler) receiveCustom(w http.ResponseWriter, r *http.Request) (s signature, body []byte, status int, err error) {
	defer func() {
		if p := recover(); p != nil {
			status, err = http.StatusServiceUnavailable, fmt.Errorf("verify: panic: %v", p)
		}
	}()
	if body, status, err = read(w, r); err != nil {
		return s, nil, status, err
	}
	if s.event, err = h.source.verify(r.Header, body); err != nil {
		return s, nil, http.StatusUnauthorized, err
	}
	return s, body, http.StatusOK, nil
}

func read(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	if r.ContentLength > maxBody {
		return nil, http.StatusRequestEntityTooLarge, errors.New("the body is too large")
	}
	if r.Body == nil { // never from a server, but from tests
		r.Body = http.NoBody
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, http.StatusRequestEntityTooLarge, err
	case err != nil:
		return nil, http.StatusBadRequest, err
	}
	return body, http.StatusOK, nil
}
