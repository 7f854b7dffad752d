package remotestore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

var opUpdate = operation{"update", true, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound, store.ErrConflict}, serve(serveUpdate)}

type updateRequest struct {
	Owner  string `json:"owner"`
	ID     string `json:"id"`
	Change change `json:"change"`
}

// A change is a [store.Change] in the protocol. Fields that it does not set are
// absent.
type change struct {
	At         recordjson.Time   `json:"at,omitzero"`
	Name       *string           `json:"name,omitempty"`
	Scopes     []string          `json:"scopes,omitzero"`
	Metadata   map[string]string `json:"metadata,omitzero"`
	ExpiresAt  optionalTime      `json:"expires_at,omitzero"`
	DisabledAt optionalTime      `json:"disabled_at,omitzero"`
}

// An optionalTime is a time that an update may set. If the update does not set it, it
// is absent; null sets it to never.
type optionalTime struct{ at *time.Time }

// IsZero reports whether the time is absent.
func (o optionalTime) IsZero() bool { return o.at == nil }

// MarshalJSON implements json.Marshaler.
func (o optionalTime) MarshalJSON() ([]byte, error) { return recordjson.TimeOf(*o.at).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (o *optionalTime) UnmarshalJSON(b []byte) error {
	var t recordjson.Time
	err := t.UnmarshalJSON(b)
	o.at = &t.Time
	return err
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	if err := errors.Join(checkUTF8(owner, id), checkChange(c)); err != nil {
		return store.Record{}, opUpdate.notSent(err)
	}
	response, err := call[recordResponse](ctx, s, opUpdate, updateRequest{owner, id, change{
		At: recordjson.TimeOf(c.At), Name: c.Name, Scopes: c.Scopes, Metadata: c.Metadata,
		ExpiresAt: optionalTime{c.ExpiresAt}, DisabledAt: optionalTime{c.DisabledAt},
	}})
	if err != nil {
		return store.Record{}, err
	}
	r, err := decodeRecordOf(response.Record, owner, id)
	if err == nil && !hasChange(r, c) {
		err = errMismatch
	}
	if err != nil {
		return store.Record{}, opUpdate.outage(err)
	}
	return r, nil
}

func checkChange(c store.Change) error {
	if c.Name != nil && !text.AreUTF8(*c.Name) || !text.AreUTF8(c.Scopes...) || !text.IsMapUTF8(c.Metadata) {
		return errNotUTF8
	}
	return nil
}

// hasChange reports whether r is not revoked and has all values that c sets.
func hasChange(r store.Record, c store.Change) bool {
	return r.RevokedAt.IsZero() &&
		(c.Name == nil || r.Name == *c.Name) &&
		(c.Scopes == nil || slices.Equal(r.Scopes, c.Scopes)) &&
		(c.Metadata == nil || maps.Equal(r.Metadata, c.Metadata)) &&
		(c.ExpiresAt == nil || isSame(r.ExpiresAt, *c.ExpiresAt)) &&
		(c.DisabledAt == nil || isSame(r.DisabledAt, *c.DisabledAt))
}

// isSame reports whether a received time equals a sent one.
func isSame(got, sent time.Time) bool { return got.Equal(recordjson.TimeOf(sent).Time) }

func serveUpdate(ctx context.Context, st store.Store, request updateRequest) (recordResponse, error) {
	c := request.Change
	return recordResult(st.Update(ctx, request.Owner, request.ID, store.Change{
		At: c.At.Time, Name: c.Name, Scopes: c.Scopes, Metadata: c.Metadata,
		ExpiresAt: c.ExpiresAt.at, DisabledAt: c.DisabledAt.at,
	}))
}
