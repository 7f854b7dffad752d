package remotestore

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opTouch = operation{"touch", true, maxRecord, nil, serve(serveTouch)}

// maxUses is the maximum number of uses in a request.
const maxUses = 1000

type touchRequest struct {
	Uses []use `json:"uses"`
}

// A use is a [store.Use] in the protocol.
type use struct {
	Digest recordjson.Digest `json:"digest"`
	At     recordjson.Time   `json:"at"`
}

// Touch implements [store.Store]. It sends more than 1,000 uses in several batches,
// in order. Each batch is atomic. If a batch fails, Touch returns its error and
// sends no more; the batches before it are written. It is safe to repeat the call.
func (s *Store) Touch(ctx context.Context, uses []store.Use) error {
	written := false
	for batch := range slices.Chunk(uses, maxUses) {
		request := touchRequest{Uses: make([]use, len(batch))}
		for i, u := range batch {
			request.Uses[i] = use{recordjson.Digest(u.Digest), recordjson.TimeOf(u.At)}
		}
		switch err := s.do(ctx, opTouch, request); {
		case written && errors.Is(err, store.ErrBusy): // ErrBusy would mean that nothing was written
			return opTouch.outage(errors.New("the service was too busy for the rest"))
		case err != nil:
			return err
		}
		written = true
	}
	return nil
}

// serveTouch refuses uses that are not sorted by digest, or of which two have the same
// digest.
func serveTouch(ctx context.Context, st store.Store, request touchRequest) (doneResponse, error) {
	if request.Uses == nil || len(request.Uses) > maxUses {
		return doneResponse{}, errMalformed
	}
	uses := make([]store.Use, len(request.Uses))
	for i, u := range request.Uses {
		if u.At.IsZero() || i > 0 && bytes.Compare(uses[i-1].Digest[:], u.Digest[:]) >= 0 {
			return doneResponse{}, errMalformed
		}
		uses[i] = store.Use{Digest: store.Digest(u.Digest), At: u.At.Time}
	}
	return doneResponse{true}, st.Touch(ctx, uses)
}
