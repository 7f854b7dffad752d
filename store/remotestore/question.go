package remotestore

import (
	"encoding/hex"
	"errors"

	"github.com/keyhatch/keyhatch/store"
)

// The request bodies, one for each method. An owner and an id may be empty: no
// record has such an owner or id, so the store returns ErrNotFound.

type insertQuestion struct {
	Record record `json:"record"`
	Limit  *int   `json:"limit"`
}

type lookupQuestion struct {
	Digest string `json:"digest"`
}

type getQuestion struct {
	Owner string `json:"owner"`
	ID    string `json:"id"`
}

type listQuestion struct {
	Owner  string       `json:"owner"`
	After  cursor       `json:"after,omitzero"`
	Limit  int          `json:"limit"`
	Filter store.Filter `json:"filter,omitempty"`
	At     instant      `json:"at,omitzero"`
}

// listOf leaves out the filter and the time of a query for all records, as older
// clients did. A service that does not know filters refuses a request with one.
func listOf(q store.Query) listQuestion {
	sent := listQuestion{Owner: q.Owner, After: cursorOf(q.After), Limit: q.Limit, Filter: q.Filter}
	if q.Filter != store.FilterAll {
		sent.At = instantOf(q.At)
	}
	return sent
}

func (l listQuestion) stored() (store.Query, error) {
	q := store.Query{Owner: l.Owner, Filter: l.Filter, At: l.At.Time, After: l.After.stored(), Limit: l.Limit}
	if q.Filter == store.FilterAll && !q.At.IsZero() {
		return q, errors.New("at is set without a filter")
	}
	return q, q.Validate()
}

type countQuestion struct {
	Owner string  `json:"owner"`
	At    instant `json:"at"`
}

type updateQuestion struct {
	Owner  string `json:"owner"`
	ID     string `json:"id"`
	Change change `json:"change"`
}

type revokeQuestion struct {
	Owner  string  `json:"owner"`
	ID     string  `json:"id"`
	At     instant `json:"at"`
	Reason string  `json:"reason"`
}

type revokeAllQuestion struct {
	Owner  string  `json:"owner"`
	At     instant `json:"at"`
	Reason string  `json:"reason"`
}

type rotateQuestion struct {
	Owner   string    `json:"owner"`
	ID      string    `json:"id"`
	Next    successor `json:"next"`
	OldEnds instant   `json:"old_ends_at"`
	Limit   *int      `json:"limit"`
}

type touchQuestion struct {
	Uses []use `json:"uses"`
}

// A cursor is a [store.Cursor] in the protocol.
type cursor struct {
	CreatedAt instant `json:"created_at,omitzero"`
	ID        string  `json:"id"`
}

func cursorOf(c store.Cursor) cursor { return cursor{instantOf(c.CreatedAt), c.ID} }

func (c cursor) stored() store.Cursor { return store.Cursor{CreatedAt: c.CreatedAt.Time, ID: c.ID} }

// A change is a [store.Change] in the protocol. Fields that it does not set are
// absent.
type change struct {
	At         instant           `json:"at,omitzero"`
	Name       *string           `json:"name,omitempty"`
	Scopes     []string          `json:"scopes,omitzero"`
	Metadata   map[string]string `json:"metadata,omitzero"`
	ExpiresAt  setting           `json:"expires_at,omitzero"`
	DisabledAt setting           `json:"disabled_at,omitzero"`
}

func changeOf(c store.Change) (change, error) {
	err := lists(c.Scopes, c.Metadata)
	if c.Name != nil {
		err = errors.Join(err, texts(*c.Name))
	}
	return change{
		At: instantOf(c.At), Name: c.Name, Scopes: c.Scopes, Metadata: c.Metadata,
		ExpiresAt: setting{c.ExpiresAt}, DisabledAt: setting{c.DisabledAt},
	}, err
}

func (c change) stored() store.Change {
	return store.Change{
		At: c.At.Time, Name: c.Name, Scopes: c.Scopes, Metadata: c.Metadata,
		ExpiresAt: c.ExpiresAt.to, DisabledAt: c.DisabledAt.to,
	}
}

// A successor holds the fields of the next record that Rotate sends.
type successor struct {
	ID        string  `json:"id"`
	Digest    string  `json:"digest"`
	Hint      string  `json:"hint"`
	CreatedAt instant `json:"created_at"`
}

func successorOf(r store.Record) (successor, error) {
	return successor{r.ID, hex.EncodeToString(r.Digest[:]), r.Hint, instantOf(r.CreatedAt)}, texts(r.ID, r.Hint)
}

func (s successor) stored() (store.Record, error) {
	d, err := digest(s.Digest)
	if err != nil || d.IsZero() || s.ID == "" || s.CreatedAt.IsZero() {
		return store.Record{}, errors.New("the next record lacks an id, digest or creation time")
	}
	return store.Record{ID: s.ID, Digest: d, Hint: s.Hint, CreatedAt: s.CreatedAt.Time}, nil
}

// A use is a [store.Use] in the protocol.
type use struct {
	Digest string  `json:"digest"`
	At     instant `json:"at"`
}
