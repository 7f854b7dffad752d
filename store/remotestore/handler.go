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

// Handler returns the handler that serves st to every [Store] with the same
// secret: 32 to 1,024 random bytes. Nil HandlerOptions are fine. Paths begin
// with /v1/; to mount it elsewhere use [http.StripPrefix].
//
// Whoever has the secret can do all that a store can, for every owner. Serve
// it over TLS, and where the public cannot reach it.
//
// The store works under the request's context, so a client that gives up
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

// A handler is what Handler makes.
type handler struct {
	store    store.Store
	logger   *slog.Logger
	accepted [][sha256.Size]byte // hashes of the headers that carry the secrets
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	// The secret comes first: without it nobody learns what there is.
	if !h.authentic(r) {
		h.logger.DebugContext(r.Context(), "remotestore: refused a secret", "remote", r.RemoteAddr)
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

// authentic compares hashes, so that neither the text nor its length shows in
// the time that it takes, and looks at every secret for the same reason.
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
	w.Write(answer) // a client that is gone misses nothing
}

// report logs a failure of the store, which it is not when the client has gone.
func (h *handler) report(r *http.Request, err error) {
	level := slog.LevelError
	if r.Context().Err() != nil {
		level = slog.LevelDebug
	}
	h.logger.Log(r.Context(), level, "remotestore: the store failed", "path", r.URL.Path, "error", err)
}

// refuse answers without a body that a client could take for an answer.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}
