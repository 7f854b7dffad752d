package remotestore

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Handler returns an http.Handler that serves st to every [Store] that has the same
// secret: 32 to 1,024 random bytes. If opts is nil, the defaults are used. Handler
// returns an error if st is nil or a secret is invalid. Paths begin with /v1/; to
// mount the handler under another path, use [http.StripPrefix].
//
// Anyone who has the secret can call every method of the store, for every owner.
// Serve the handler over TLS, on a network that the public cannot reach.
//
// The store is called with the request's context and the client's timeout, so a
// client that disconnects cancels its call.
func Handler(st store.Store, secret []byte, opts *HandlerOptions) (http.Handler, error) {
	if st == nil {
		return nil, errors.New("remotestore: the store is nil")
	}
	o := opts.withDefaults()
	h := &handler{store: st, logger: o.Logger}
	for i, secret := range slices.Concat([][]byte{secret}, o.OlderSecrets) {
		header, err := authorization(secret)
		if err != nil && i > 0 {
			err = fmt.Errorf("HandlerOptions.OlderSecrets: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("remotestore: %w", err)
		}
		h.accepted = append(h.accepted, sha256.Sum256([]byte(header)))
	}
	return h, nil
}

// HandlerOptions configure a [Handler].
type HandlerOptions struct {
	// OlderSecrets are accepted in addition to the current secret, so that it can be replaced
	// without downtime. First give the service the new secret, with the old one here. Then give
	// the clients the new secret. Finally remove the old one. Each must have 32 to 1,024 random
	// bytes.
	OlderSecrets [][]byte

	// Logger receives the store's errors, which are not sent to clients: at level
	// error, or at level debug if the client had disconnected. It also receives
	// rejected secrets, at level debug. Nil discards all of them, which hides
	// outages; set it.
	Logger *slog.Logger
}

// Format writes the options without the OlderSecrets, for every verb.
func (o HandlerOptions) Format(f fmt.State, verb rune) {
	type options HandlerOptions // without this method
	o.OlderSecrets = nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// MarshalText returns the text that Format writes, for log/slog and encoding/json.
func (o HandlerOptions) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%+v", o), nil }

func (o *HandlerOptions) withDefaults() (d HandlerOptions) {
	if o != nil {
		d = *o
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// A handler is the http.Handler that Handler returns.
type handler struct {
	store    store.Store
	logger   *slog.Logger
	accepted [][sha256.Size]byte // hashes of the accepted Authorization headers
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	// The secret is checked first, so that a client without it learns nothing.
	if !h.authentic(r) {
		h.logger.DebugContext(r.Context(), "remotestore: rejected a request without a valid secret", "remote", r.RemoteAddr)
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized)
		return
	}
	i := slices.IndexFunc(operations, func(o operation) bool { return r.URL.Path == "/v1/"+o.name })
	switch {
	case i < 0:
		refuse(w, http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed)
	case !slices.Equal(r.Header["Content-Type"], []string{contentType}) || len(r.Header["Content-Encoding"]) > 0:
		refuse(w, http.StatusUnsupportedMediaType)
	case r.ContentLength > maxRequest:
		refuse(w, http.StatusRequestEntityTooLarge)
	default:
		h.serve(w, r, operations[i])
	}
}

// authentic compares hashes, so that the time it takes depends on neither the
// content nor the length of a secret. For the same reason it compares all secrets.
func (h *handler) authentic(r *http.Request) bool {
	sent := r.Header["Authorization"]
	if len(sent) != 1 || len(sent[0]) > 2*maxSecret {
		return false
	}
	hash, found := sha256.Sum256([]byte(sent[0])), 0
	for _, accepted := range h.accepted {
		found |= subtle.ConstantTimeCompare(hash[:], accepted[:])
	}
	return found == 1
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, o operation) {
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuse(w, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		refuse(w, http.StatusBadRequest)
		return
	}
	ctx, cancel := withTimeout(r)
	defer cancel()
	response, err := o.serve(ctx, h.store, request)
	if err == errMalformed {
		refuse(w, http.StatusBadRequest)
		return
	}
	status := http.StatusOK
	if c, ok := o.codeOf(err); ok {
		status, response, err = c.status, refusal{c.text}, nil
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(response)
	}
	if err == nil && int64(len(body)) > o.maxResponse {
		err = fmt.Errorf("the response is too large: %d bytes", len(body))
	}
	if err != nil {
		h.report(r, err)
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write(body) // an error means that the client has disconnected
}

// withTimeout returns the request's context with the client's timeout. Clients of
// earlier versions send none.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc) {
	ms, err := strconv.ParseUint(r.Header.Get(timeoutHeader), 10, 31)
	if err != nil {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
}

// report logs an error of the store. If the client has disconnected, the error is
// expected, so the level is debug.
func (h *handler) report(r *http.Request, err error) {
	level := slog.LevelError
	if r.Context().Err() != nil {
		level = slog.LevelDebug
	}
	h.logger.Log(r.Context(), level, "remotestore: store call failed", "path", r.URL.Path, "error", err)
}

// refuse sends a status without a body, which a client cannot mistake for a result.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}
