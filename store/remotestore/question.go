package remotestore

import (
	"errors"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// The request bodies, one for each method. An owner and an id may be empty: no
// record has such an owner or id, so the store returns ErrNotFound.

type insertQuestion struct {
	Record recordjson.Record `json:"record"`
	Limit  *int   `json:"limit"`
}

type lookupQuestion struct {
	Digest recordjson.Digest `json:"digest"`
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
	At     recordjson.Time      `json:"at,omitzero"`
}

// listOf leaves out the filter and the time of a query for all records, as older
// clients did. A service that does not know filters refuses a request with one.
func listOf(q store.Query) listQuestion {
	sent := listQuestion{Owner: q.Owner, After: cursorOf(q.After), Limit: q.Limit, Filter: q.Filter}
	if q.Filter != store.FilterAll {
		sent.At = recordjson.TimeOf(q.At)
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
	At    recordjson.Time `json:"at"`
}

type updateQuestion struct {
	Owner  string `json:"owner"`
	ID     string `json:"id"`
	Change change `json:"change"`
}

type revokeQuestion struct {
	Owner  string  `json:"owner"`
	ID     string  `json:"id"`
	At     recordjson.Time `json:"at"`
	Reason string  `json:"reason"`
}

type revokeAllQuestion struct {
	Owner  string  `json:"owner"`
	At     recordjson.Time `json:"at"`
	Reason string  `json:"reason"`
}

type rotateQuestion struct {
	Owner   string    `json:"owner"`
	ID      string    `json:"id"`
	Next    successor `json:"next"`
	OldEnds recordjson.Time   `json:"old_ends_at"`
	Limit   *int      `json:"limit"`
}

type touchQuestion struct {
	Uses []use `json:"uses"`
}

// A cursor is a [store.Cursor] in the protocol.
type cursor struct {
	CreatedAt recordjson.Time `json:"created_at,omitzero"`
	ID        string  `json:"id"`
}

func cursorOf(c store.Cursor) cursor { return cursor{recordjson.TimeOf(c.CreatedAt), c.ID} }

func (c cursor) stored() store.Cursor { return store.Cursor{CreatedAt: c.CreatedAt.Time, ID: c.ID} }

// A change is a [store.Change] in the protocol. Fields that it does not set are
// absent.
type change struct {
	At         recordjson.Time           `json:"at,omitzero"`
	Name       *string           `json:"name,omitempty"`
	Scopes     []string          `json:"scopes,omitzero"`
	Metadata   map[string]string `json:"metadata,omitzero"`
	ExpiresAt  setting           `json:"expires_at,omitzero"`
	DisabledAt setting           `json:"disabled_at,omitzero"`
}

func changeOf(c store.Change) (change, error) {
	err := texts(c.Scopes...)
	if c.Name != nil {
		err = errors.Join(err, texts(*c.Name))
	}
	if !text.IsMapUTF8(c.Metadata) {
		err = errText
	}
	return change{
		At: recordjson.TimeOf(c.At), Name: c.Name, Scopes: c.Scopes, Metadata: c.Metadata,
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
	Digest    recordjson.Digest  `json:"digest"`
	Hint      string  `json:"hint"`
	CreatedAt recordjson.Time `json:"created_at"`
}

func successorOf(r store.Record) (successor, error) {
	return successor{r.ID, recordjson.Digest(r.Digest), r.Hint, recordjson.TimeOf(r.CreatedAt)}, texts(r.ID, r.Hint)
}

func (s successor) stored() (store.Record, error) {
	d := store.Digest(s.Digest)
	if d.IsZero() || s.ID == "" || s.CreatedAt.IsZero() {
		return store.Record{}, errors.New("the next record lacks an id, digest or creation time")
	}
	return store.Record{ID: s.ID, Digest: d, Hint: s.Hint, CreatedAt: s.CreatedAt.Time}, nil
}

// A use is a [store.Use] in the protocol.
type use struct {
	Digest string  `json:"digest"`
	At     recordjson.Time `json:"at"`
}

// A setting is a time that an update may set. If the update does not set it, it is
// absent; null sets it to never.
type setting struct{ to *time.Time }

// IsZero reports whether the setting is absent.
func (s setting) IsZero() bool { return s.to == nil }

// MarshalJSON implements json.Marshaler.
func (s setting) MarshalJSON() ([]byte, error) { return recordjson.TimeOf(*s.to).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (s *setting) UnmarshalJSON(b []byte) error {
	var t recordjson.Time
	err := t.UnmarshalJSON(b)
	s.to = &t.Time
	return err
}

var errText = errors.New("a text is not valid UTF-8")

// texts returns an error if a text is not valid UTF-8. The JSON encoder would
// replace the invalid bytes, so that the request could name another owner.
func texts(all ...string) error {
	if !text.AreUTF8(all...) {
		return errText
	}
	return nil
}

// recordOf returns the JSON of a record that either side sends.
func recordOf(r store.Record) (recordjson.Record, error) {
	sent, err := recordjson.Of(r)
	return sent, errors.Join(whole(r), err)
}

func recordsOf(rs []store.Record) ([]recordjson.Record, error) {
	out := make([]recordjson.Record, len(rs)) // an empty list is [], not null
	for i, r := range rs {
		var err error
		if out[i], err = recordOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stored returns a record that either side received.
func stored(r recordjson.Record) (store.Record, error) {
	out := r.Stored()
	if err := whole(out); err != nil {
		return store.Record{}, err
	}
	return out, nil
}

func storedAll(rs []recordjson.Record) ([]store.Record, error) {
	var out []store.Record
	for _, r := range rs {
		s, err := stored(r)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// whole returns an error if r lacks a field that every record has.
func whole(r store.Record) error {
	if r.ID == "" || r.Owner == "" || r.Digest.IsZero() || r.CreatedAt.IsZero() {
		return errors.New("a record lacks an id, owner, digest or creation time")
	}
	return nil
}
