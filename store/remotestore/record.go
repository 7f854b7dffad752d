package remotestore

import (
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// A record is a [store.Record] in the protocol. Empty fields are left out.
type record struct {
	ID           string            `json:"id"`
	Owner        string            `json:"owner"`
	Name         string            `json:"name,omitempty"`
	Hint         string            `json:"hint,omitempty"`
	CreatedBy    string            `json:"created_by,omitempty"`
	RevokeReason string            `json:"revoke_reason,omitempty"`
	ReplacedBy   string            `json:"replaced_by,omitempty"`
	Digest       string            `json:"digest"`
	Scopes       []string          `json:"scopes,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	CreatedAt    instant           `json:"created_at"`
	ExpiresAt    instant           `json:"expires_at,omitzero"`
	DisabledAt   instant           `json:"disabled_at,omitzero"`
	RevokedAt    instant           `json:"revoked_at,omitzero"`
	LastUsedAt   instant           `json:"last_used_at,omitzero"`
}

// recordOf converts a record that either side sends.
func recordOf(r store.Record) (record, error) {
	err := errors.Join(whole(r), texts(r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy),
		lists(r.Scopes, r.Metadata))
	return record{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Hint: r.Hint, CreatedBy: r.CreatedBy,
		RevokeReason: r.RevokeReason, ReplacedBy: r.ReplacedBy, Digest: hex.EncodeToString(r.Digest[:]),
		Scopes: r.Scopes, Metadata: r.Metadata,
		CreatedAt: instantOf(r.CreatedAt), ExpiresAt: instantOf(r.ExpiresAt), DisabledAt: instantOf(r.DisabledAt),
		RevokedAt: instantOf(r.RevokedAt), LastUsedAt: instantOf(r.LastUsedAt),
	}, err
}

func recordsOf(rs []store.Record) ([]record, error) {
	out := make([]record, len(rs)) // an empty list is [], not null
	for i, r := range rs {
		var err error
		if out[i], err = recordOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stored converts a record that either side received.
func (r record) stored() (store.Record, error) {
	d, err := digest(r.Digest)
	if err != nil {
		return store.Record{}, err
	}
	out := store.Record{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Hint: r.Hint, CreatedBy: r.CreatedBy,
		RevokeReason: r.RevokeReason, ReplacedBy: r.ReplacedBy, Digest: d, Scopes: r.Scopes, Metadata: r.Metadata,
		CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time, DisabledAt: r.DisabledAt.Time,
		RevokedAt: r.RevokedAt.Time, LastUsedAt: r.LastUsedAt.Time,
	}
	if err := whole(out); err != nil {
		return store.Record{}, err
	}
	return out, nil
}

func stored(rs []record) ([]store.Record, error) {
	var out []store.Record
	for _, r := range rs {
		s, err := r.stored()
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

// texts returns an error if a text is not valid UTF-8. The JSON encoder would
// replace the invalid bytes, so that the request could name another owner.
func texts(all ...string) error {
	if !text.AreUTF8(all...) {
		return errors.New("a text is not valid UTF-8")
	}
	return nil
}

func lists(scopes []string, metadata map[string]string) error {
	return errors.Join(texts(scopes...), texts(slices.Collect(maps.Keys(metadata))...),
		texts(slices.Collect(maps.Values(metadata))...))
}

// digest parses a digest, which must be in lower-case hexadecimal.
func digest(text string) (d store.Digest, err error) {
	if len(text) != 2*len(d) {
		return d, errors.New("a digest does not have 64 digits")
	}
	if _, err := hex.Decode(d[:], []byte(text)); err != nil || hex.EncodeToString(d[:]) != text {
		return store.Digest{}, errors.New("a digest is not in lower-case hexadecimal")
	}
	return d, nil
}
