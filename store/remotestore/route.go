package remotestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/keyhatch/keyhatch/internal/strictjson"
	"github.com/keyhatch/keyhatch/store"
)

// A route handles the requests for one verb. If it returns no answer, the handler
// sends the status without a body. The handler logs the error.
type route func(ctx context.Context, st store.Store, question []byte) (status int, answer []byte, err error)

var routes = map[string]route{
	verbInsert.name:    serve(verbInsert, serveInsert),
	verbLookup.name:    serve(verbLookup, serveLookup),
	verbGet.name:       serve(verbGet, serveGet),
	verbList.name:      serve(verbList, serveList),
	verbCount.name:     serve(verbCount, serveCount),
	verbUpdate.name:    serve(verbUpdate, serveUpdate),
	verbRevoke.name:    serve(verbRevoke, serveRevoke),
	verbRevokeAll.name: serve(verbRevokeAll, serveRevokeAll),
	verbRotate.name:    serve(verbRotate, serveRotate),
	verbTouch.name:     serve(verbTouch, serveTouch),

	verbRevocations.name: serve(verbRevocations, serveRevocations),
}

// errMalformed is the error for a request that is not passed to the store.
var errMalformed = errors.New("malformed")

func serve[Q, A any](v verb, call func(context.Context, store.Store, Q) (A, error)) route {
	return func(ctx context.Context, st store.Store, question []byte) (int, []byte, error) {
		var q Q
		if strictjson.DecodeCanonical(question, &q) != nil {
			return http.StatusBadRequest, nil, nil
		}
		a, err := call(ctx, st, q)
		if err == errMalformed {
			return http.StatusBadRequest, nil, nil
		}
		if c, ok := v.codeOf(err); ok {
			answer, err := json.Marshal(refusal{c.text})
			return c.status, answer, err
		}
		var answer []byte
		if err == nil {
			answer, err = json.Marshal(a)
		}
		if err == nil && int64(len(answer)) > v.most {
			err = fmt.Errorf("the response is too large: %d bytes", len(answer))
		}
		if err != nil {
			return http.StatusServiceUnavailable, nil, err
		}
		return http.StatusOK, answer, nil
	}
}

func serveInsert(ctx context.Context, st store.Store, q insertQuestion) (doneAnswer, error) {
	r, err := stored(q.Record)
	if err != nil || q.Limit == nil {
		return doneAnswer{}, errMalformed
	}
	return doneAnswer{true}, st.Insert(ctx, r, *q.Limit)
}

func serveLookup(ctx context.Context, st store.Store, q lookupQuestion) (recordAnswer, error) {
	return answered(st.Lookup(ctx, store.Digest(q.Digest)))
}

func answered(r store.Record, err error) (recordAnswer, error) {
	if err != nil {
		return recordAnswer{}, err
	}
	sent, err := recordOf(r)
	return recordAnswer{sent}, err
}

func serveGet(ctx context.Context, st store.Store, q getQuestion) (recordAnswer, error) {
	return answered(st.Get(ctx, q.Owner, q.ID))
}

func serveList(ctx context.Context, st store.Store, q listQuestion) (listAnswer, error) {
	query, err := q.stored()
	if err != nil {
		return listAnswer{}, errMalformed
	}
	page, err := st.List(ctx, query)
	if err != nil {
		return listAnswer{}, err
	}
	records, err := recordsOf(page.Records)
	return listAnswer{records, cursorOf(page.Next)}, err
}

func serveCount(ctx context.Context, st store.Store, q countQuestion) (countAnswer, error) {
	if q.At.IsZero() {
		return countAnswer{}, errMalformed
	}
	n, err := st.Count(ctx, q.Owner, q.At.Time)
	return countAnswer{&n}, err
}

func serveUpdate(ctx context.Context, st store.Store, q updateQuestion) (recordAnswer, error) {
	return answered(st.Update(ctx, q.Owner, q.ID, q.Change.stored()))
}

func serveRevoke(ctx context.Context, st store.Store, q revokeQuestion) (revokeAnswer, error) {
	if q.At.IsZero() {
		return revokeAnswer{}, errMalformed
	}
	r, changed, err := st.Revoke(ctx, q.Owner, q.ID, q.At.Time, q.Reason)
	if err != nil {
		return revokeAnswer{}, err
	}
	sent, err := recordOf(r)
	return revokeAnswer{sent, &changed}, err
}

func serveRevokeAll(ctx context.Context, st store.Store, q revokeAllQuestion) (revokeAllAnswer, error) {
	if q.At.IsZero() {
		return revokeAllAnswer{}, errMalformed
	}
	all, err := st.RevokeAll(ctx, q.Owner, q.At.Time, q.Reason)
	if err != nil {
		return revokeAllAnswer{}, err
	}
	records, err := recordsOf(all)
	return revokeAllAnswer{records}, err
}

func serveRotate(ctx context.Context, st store.Store, q rotateQuestion) (rotateAnswer, error) {
	next, err := q.Next.stored()
	if err != nil || q.Limit == nil {
		return rotateAnswer{}, errMalformed
	}
	old, now, err := st.Rotate(ctx, q.Owner, q.ID, next, q.OldEnds.Time, *q.Limit)
	if err != nil {
		return rotateAnswer{}, err
	}
	sentOld, err := recordOf(old)
	sentNow, errNow := recordOf(now)
	return rotateAnswer{sentOld, sentNow}, errors.Join(err, errNow)
}

func serveTouch(ctx context.Context, st store.Store, q touchQuestion) (doneAnswer, error) {
	uses, err := q.stored()
	if err != nil {
		return doneAnswer{}, errMalformed
	}
	return doneAnswer{true}, st.Touch(ctx, uses)
}

// stored returns the uses, which must be sorted by digest without duplicates.
func (q touchQuestion) stored() ([]store.Use, error) {
	if q.Uses == nil || len(q.Uses) > maxUses {
		return nil, errMalformed
	}
	uses := make([]store.Use, len(q.Uses))
	for i, u := range q.Uses {
		d := store.Digest(u.Digest)
		if u.At.IsZero() || i > 0 && bytes.Compare(uses[i-1].Digest[:], d[:]) >= 0 {
			return nil, errMalformed
		}
		uses[i] = store.Use{Digest: d, At: u.At.Time}
	}
	return uses, nil
}
