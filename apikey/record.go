package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/internal/strictjson"
	"github.com/keyhatch/keyhatch/store"
)

// A cachedRecord is a record in the shared cache. Older and newer versions of a service
// may use the cache at the same time.
type cachedRecord struct {
	Version int `json:"v"`
	recordjson.Record
}

// recordVersion must change if older versions of this package would misread a new
// record. Records of other versions count as missing.
const recordVersion = 1

var errRecord = errors.New("not a record of this version")

// encodeRecord returns an error if JSON cannot hold r unchanged.
func encodeRecord(r store.Record) ([]byte, error) {
	cached, err := recordjson.Of(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(cachedRecord{recordVersion, cached})
}

// decodeRecord refuses unknown fields, since a later version may use one to mark a key
// as revoked.
func decodeRecord(b []byte) (store.Record, error) {
	var cached cachedRecord
	if err := strictjson.DecodeCanonical(b, &cached); err != nil || cached.Version != recordVersion {
		return store.Record{}, errRecord
	}
	return cached.Stored(), nil
}

// loadedFromShared returns the key of an entry of the shared cache.
func (m *Manager) loadedFromShared(key cache.Key, value []byte) (found cache.Loaded[cachedKey], ok bool) {
	r, err := decodeRecord(value)
	if err != nil || !isRecordOf(r, store.Digest(key)) || m.ended.contradicts(r) {
		return found, false
	}
	return m.loaded(r), true
}

func (m *Manager) logSharedFailure(ctx context.Context, err error) {
	m.log.LogAttrs(ctx, slog.LevelDebug, "apikey: shared cache failed", slog.Any("error", err))
}
