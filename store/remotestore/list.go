package remotestore

import (
	"context"
	"errors"
	"strings"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

var opList = operation{"list", false, store.MaxPage * maxRecord, nil, serve(serveList)}

type listRequest struct {
	Owner  string          `json:"owner"`
	After  cursor          `json:"after,omitzero"`
	Limit  int             `json:"limit"`
	Filter store.Filter    `json:"filter,omitempty"`
	At     recordjson.Time `json:"at,omitzero"`
}

type listResponse struct {
	Records []recordjson.Record `json:"records"`
	Next    cursor              `json:"next,omitzero"`
}

// A cursor is a [store.Cursor] in the protocol.
type cursor struct {
	CreatedAt recordjson.Time `json:"created_at,omitzero"`
	ID        string          `json:"id"`
}

func encodeCursor(c store.Cursor) cursor { return cursor{recordjson.TimeOf(c.CreatedAt), c.ID} }

func (c cursor) decode() store.Cursor { return store.Cursor{CreatedAt: c.CreatedAt.Time, ID: c.ID} }

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := errors.Join(checkUTF8(q.Owner, q.After.ID), q.Validate()); err != nil {
		return store.Page{}, opList.notSent(err)
	}
	q.At = recordjson.TimeOf(q.At).Time // as the service receives it
	response, err := call[listResponse](ctx, s, opList, encodeQuery(q))
	if err != nil {
		return store.Page{}, err
	}
	page, err := response.page(q)
	if err != nil {
		return store.Page{}, opList.outage(err)
	}
	return page, nil
}

// encodeQuery leaves out the filter and the time of a query for all records, as older
// clients did. A service that does not know filters refuses a request with one.
func encodeQuery(q store.Query) listRequest {
	request := listRequest{Owner: q.Owner, After: encodeCursor(q.After), Limit: q.Limit, Filter: q.Filter}
	if q.Filter != store.FilterAll {
		request.At = recordjson.TimeOf(q.At)
	}
	return request
}

// page returns the page, which must be a possible result of q.
func (l listResponse) page(q store.Query) (store.Page, error) {
	records, err := decodeRecords(l.Records)
	if err != nil {
		return store.Page{}, err
	}
	page := store.Page{Records: records, Next: l.Next.decode()}
	if l.Records == nil || len(records) > q.PageSize() || hasDuplicates(records) {
		return store.Page{}, errMismatch
	}
	place := encodeCursor(q.After).decode()
	for _, r := range records {
		here := store.Cursor{CreatedAt: r.CreatedAt, ID: r.ID}
		if r.Owner != q.Owner || !q.Matches(r) || !place.IsZero() && !isOlder(here, place) {
			return store.Page{}, errMismatch
		}
		place = here
	}
	// If the next cursor were before the last record, a caller could list forever.
	if !page.Next.IsZero() && (len(records) == 0 || isOlder(place, page.Next)) {
		return store.Page{}, errMismatch
	}
	return page, nil
}

// isOlder reports whether a comes after b in a list, which is sorted newest first.
func isOlder(a, b store.Cursor) bool {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c < 0
	}
	return strings.Compare(a.ID, b.ID) < 0
}

func serveList(ctx context.Context, st store.Store, request listRequest) (listResponse, error) {
	q := store.Query{Owner: request.Owner, Filter: request.Filter, At: request.At.Time, After: request.After.decode(), Limit: request.Limit}
	if q.Validate() != nil || q.Filter == store.FilterAll && !q.At.IsZero() {
		return listResponse{}, errMalformed
	}
	page, err := st.List(ctx, q)
	if err != nil {
		return listResponse{}, err
	}
	records, err := encodeRecords(page.Records)
	return listResponse{records, encodeCursor(page.Next)}, err
}
