package remotestore

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/keyhatch/keyhatch/store"
)

// contentType is the media type of requests and responses. No proxy's error page
// has it.
const contentType = "application/vnd.keyhatch.store+json"

// Handler returns an http.Handler that serves st to every [Store] that has the same
// secret: 32 to 1,024 random bytes. If o is nil, the defaults are used. Handler
// returns an error if st is nil or a secret is invalid. Paths begin with /v1/; to
// mount the handler under another path, use [http.StripPrefix].
//
// Anyone who has the secret can call every method of the store, for every owner.
// Serve the handler over TLS, on a network that the public cannot reach.
//
// The store is called with the request's context, so a client that disconnects
// cancels its call.
func Handler(st store.Store, secret []byte, o *HandlerOptions) (http.Handler, error) {
	if st == nil {
		return nil, errors.New("remotestore: the store is nil")
	}
	opts := o.withDefaults()
	h := &handler{store: st, logger: opts.Logger}
	for i, secret := range slices.Concat([][]byte{secret}, opts.OlderSecrets) {
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
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	route := routes[name]
	switch {
	case !ok || route == nil:
		refuse(w, http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed)
	case !slices.Equal(r.Header["Content-Type"], []string{contentType}) || len(r.Header["Content-Encoding"]) > 0:
		refuse(w, http.StatusUnsupportedMediaType)
	case r.ContentLength > maxQuestion:
		refuse(w, http.StatusRequestEntityTooLarge)
	default:
		h.answer(w, r, route)
	}
}

// authentic compares hashes, so that the time it takes depends on neither the text
// nor the length of the secret. For the same reason it compares all of them.
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

func (h *handler) answer(w http.ResponseWriter, r *http.Request, route route) {
	question, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuse(w, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		refuse(w, http.StatusBadRequest)
		return
	}
	status, answer, err := route(r.Context(), h.store, question)
	if err != nil {
		h.report(r, err)
	}
	if answer == nil {
		refuse(w, status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write(answer) // an error means that the client has disconnected
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
