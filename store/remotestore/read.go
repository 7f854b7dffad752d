package remotestore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// errUnasked is the error for a well-formed response that does not belong to the
// request.
var errUnasked = errors.New("the response does not belong to the request")

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	a, err := ask[recordAnswer](ctx, s, verbLookup, lookupQuestion{recordjson.Digest(d)})
	if err != nil {
		return store.Record{}, err
	}
	r, err := stored(a.Record)
	if err == nil && r.Digest != d {
		err = errUnasked
	}
	if err != nil {
		return store.Record{}, verbLookup.outage(err)
	}
	return r, nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, owner, id string) (store.Record, error) {
	if err := texts(owner, id); err != nil {
		return store.Record{}, verbGet.unasked(err)
	}
	a, err := ask[recordAnswer](ctx, s, verbGet, getQuestion{owner, id})
	if err != nil {
		return store.Record{}, err
	}
	r, err := of(a.Record, owner, id)
	if err != nil {
		return store.Record{}, verbGet.outage(err)
	}
	return r, nil
}

// of returns the record, which must have this owner and id.
func of(r recordjson.Record, owner, id string) (store.Record, error) {
	out, err := stored(r)
	if err == nil && (out.Owner != owner || out.ID != id) {
		err = errUnasked
	}
	return out, err
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := errors.Join(texts(q.Owner, q.After.ID), q.Validate()); err != nil {
		return store.Page{}, verbList.unasked(err)
	}
	q.At = recordjson.TimeOf(q.At).Time // as the service receives it
	a, err := ask[listAnswer](ctx, s, verbList, listOf(q))
	if err != nil {
		return store.Page{}, err
	}
	page, err := a.page(q)
	if err != nil {
		return store.Page{}, verbList.outage(err)
	}
	return page, nil
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, owner string, at time.Time) (int, error) {
	if err := texts(owner); err != nil {
		return 0, verbCount.unasked(err)
	}
	a, err := ask[countAnswer](ctx, s, verbCount, countQuestion{owner, recordjson.TimeOf(at)})
	if err != nil {
		return 0, err
	}
	if a.Count == nil || *a.Count < 0 {
		return 0, verbCount.outage(errUnasked)
	}
	return *a.Count, nil
}

// page returns the page, which must be a possible result of q.
func (a listAnswer) page(q store.Query) (store.Page, error) {
	records, err := storedAll(a.Records)
	if err != nil {
		return store.Page{}, err
	}
	page := store.Page{Records: records, Next: a.Next.stored()}
	if a.Records == nil || len(records) > q.PageSize() || repeated(records) {
		return store.Page{}, errUnasked
	}
	place := cursorOf(q.After).stored()
	for _, r := range records {
		here := store.Cursor{CreatedAt: r.CreatedAt, ID: r.ID}
		if r.Owner != q.Owner || !q.Matches(r) || !place.IsZero() && !older(here, place) {
			return store.Page{}, errUnasked
		}
		place = here
	}
	// A next cursor before the last record would make a caller list for ever.
	if !page.Next.IsZero() && (len(records) == 0 || older(place, page.Next)) {
		return store.Page{}, errUnasked
	}
	return page, nil
}

// repeated reports whether two records have the same id or digest.
func repeated(records []store.Record) bool {
	ids, digests := map[string]bool{}, map[store.Digest]bool{}
	for _, r := range records {
		if ids[r.ID] || digests[r.Digest] {
			return true
		}
		ids[r.ID], digests[r.Digest] = true, true
	}
	return false
}

// older reports whether a comes after b in a list, which is sorted newest first.
func older(a, b store.Cursor) bool {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c < 0
	}
	return strings.Compare(a.ID, b.ID) < 0
}
