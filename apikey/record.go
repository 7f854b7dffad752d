package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// A levelRecord is a record in the second level, where older and newer versions
// of a service meet. Times are in Unix microseconds; one that is missing is
// never.
type levelRecord struct {
	Version      int               `json:"v"`
	ID           string            `json:"id"`
	Owner        string            `json:"owner"`
	Name         string            `json:"name,omitempty"`
	Hint         string            `json:"hint,omitempty"`
	CreatedBy    string            `json:"by,omitempty"`
	RevokeReason string            `json:"reason,omitempty"`
	ReplacedBy   string            `json:"next,omitempty"`
	Digest       []byte            `json:"digest"`
	Scopes       []string          `json:"scopes,omitempty"`
	Metadata     map[string]string `json:"meta,omitempty"`
	CreatedAt    *int64            `json:"created,omitempty"`
	ExpiresAt    *int64            `json:"expires,omitempty"`
	DisabledAt   *int64            `json:"disabled,omitempty"`
	RevokedAt    *int64            `json:"revoked,omitempty"`
	LastUsedAt   *int64            `json:"used,omitempty"`
}

// recordVersion changes whenever a reader of before would take a record for
// another one. What has another version is not read.
const recordVersion = 1

var errRecord = errors.New("not a record of this version")

func encodeRecord(r store.Record) ([]byte, error) {
	if !allUTF8(r) {
		return nil, errRecord // JSON would replace what is not
	}
	return json.Marshal(levelRecord{
		Version: recordVersion, ID: r.ID, Owner: r.Owner, Name: r.Name, Hint: r.Hint, CreatedBy: r.CreatedBy,
		RevokeReason: r.RevokeReason, ReplacedBy: r.ReplacedBy, Digest: r.Digest[:], Scopes: r.Scopes, Metadata: r.Metadata,
		CreatedAt: microsOf(r.CreatedAt), ExpiresAt: microsOf(r.ExpiresAt), DisabledAt: microsOf(r.DisabledAt),
		RevokedAt: microsOf(r.RevokedAt), LastUsedAt: microsOf(r.LastUsedAt),
	})
}

// decodeRecord refuses fields that it does not know: a later version may have
// put into one what ends the key.
func decodeRecord(b []byte) (store.Record, error) {
	var l levelRecord
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || l.Version != recordVersion || len(l.Digest) != len(store.Digest{}) {
		return store.Record{}, errRecord
	}
	if _, err := d.Token(); err != io.EOF {
		return store.Record{}, errRecord
	}
	for _, micros := range []*int64{l.CreatedAt, l.ExpiresAt, l.DisabledAt, l.RevokedAt, l.LastUsedAt} {
		if micros != nil && timeOf(micros).IsZero() {
			return store.Record{}, errRecord // a time that is there is not never
		}
	}
	return store.Record{
		ID: l.ID, Owner: l.Owner, Name: l.Name, Hint: l.Hint, CreatedBy: l.CreatedBy,
		RevokeReason: l.RevokeReason, ReplacedBy: l.ReplacedBy, Digest: store.Digest(l.Digest), Scopes: l.Scopes, Metadata: l.Metadata,
		CreatedAt: timeOf(l.CreatedAt), ExpiresAt: timeOf(l.ExpiresAt), DisabledAt: timeOf(l.DisabledAt),
		RevokedAt: timeOf(l.RevokedAt), LastUsedAt: timeOf(l.LastUsedAt),
	}, nil
}

func allUTF8(r store.Record) bool {
	texts := append([]string{r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy}, r.Scopes...)
	for name, value := range r.Metadata {
		texts = append(texts, name, value)
	}
	return text.AreUTF8(texts...)
}

func microsOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	micros := t.UnixMicro()
	return &micros
}

func timeOf(micros *int64) time.Time {
	if micros == nil {
		return time.Time{}
	}
	return time.UnixMicro(*micros).UTC()
}
