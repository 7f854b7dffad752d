package recordjson_test

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/store"
)

// The form must not change: other processes may have an older version.
func TestForm(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1_700_000_000_123_456).UTC()
	full := store.Record{
		ID: "key_1", Owner: "o", Name: "n", Hint: "key_abcd", CreatedBy: "me", RevokeReason: "leaked", ReplacedBy: "key_2",
		Digest: sha256.Sum256([]byte("x")), Scopes: []string{"a", "b:c"}, Metadata: map[string]string{"k": "v", "": ""},
		CreatedAt: at, ExpiresAt: at.Add(2 * time.Hour), DisabledAt: at.Add(time.Microsecond), RevokedAt: at.Add(time.Hour), LastUsedAt: at.Add(time.Minute),
	}
	const digest = `"digest":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"`
	for _, tt := range []struct {
		name   string
		record store.Record
		want   string
	}{
		{"every field", full, `{"id":"key_1","owner":"o","name":"n","hint":"key_abcd","created_by":"me","revoke_reason":"leaked","replaced_by":"key_2",` + digest +
			`,"scopes":["a","b:c"],"metadata":{"":"","k":"v"},"created_at":1700000000123456,"expires_at":1700007200123456,` +
			`"disabled_at":1700000000123457,"revoked_at":1700003600123456,"last_used_at":1700000060123456}`},
		{"required fields", store.Record{ID: "key_1", Owner: "o", Digest: full.Digest, CreatedAt: at},
			`{"id":"key_1","owner":"o",` + digest + `,"created_at":1700000000123456}`},
	} {
		written, err := recordjson.Of(tt.record)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(written)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
		var read recordjson.Record
		if err := json.Unmarshal(got, &read); err != nil || !reflect.DeepEqual(read.Stored(), tt.record) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, read.Stored(), err, tt.record)
		}
	}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the record has no %s, so the test does not check that field", v.Type().Field(i).Name)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		json string
		want time.Time
		ok   bool
	}{
		{"null", time.Time{}, true},
		{"0", time.Unix(0, 0).UTC(), true},
		{"-1", time.UnixMicro(-1).UTC(), true},
		{"-62135596799999999", time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), true},
		{"253402300799999999", time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), true},
		{"-62135596800000000", time.Time{}, false}, // the zero time, which is null
		{"-62135596800000001", time.Time{}, false},
		{"253402300800000000", time.Time{}, false},
		{"9223372036854775808", time.Time{}, false},
		{"1.5", time.Time{}, false},
		{`"1"`, time.Time{}, false},
	} {
		var got recordjson.Time
		err := json.Unmarshal([]byte(tt.json), &got)
		if (err == nil) != tt.ok || tt.ok && !got.Equal(tt.want) {
			t.Errorf("%s: got %v, %v, want %v, ok %v", tt.json, got, err, tt.want, tt.ok)
		}
		if again, err := json.Marshal(got); tt.ok && (err != nil || string(again) != tt.json) {
			t.Errorf("%s: written as %s, %v", tt.json, again, err)
		}
	}
}

func TestOfRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*store.Record){
		"a string that is not UTF-8":  func(r *store.Record) { r.Owner = "\xff" },
		"a scope that is not UTF-8":   func(r *store.Record) { r.Scopes = []string{"a", "\xff"} },
		"a value that is not UTF-8":   func(r *store.Record) { r.Metadata = map[string]string{"a": "\xff"} },
		"the year 10000":              func(r *store.Record) { r.ExpiresAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"the year 0":                  func(r *store.Record) { r.CreatedAt = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) },
		"a nanosecond after the zero": func(r *store.Record) { r.RevokedAt = time.Time{}.Add(1) },
	} {
		r := store.Record{ID: "key_1", Owner: "o", CreatedAt: time.Unix(1, 0)}
		spoil(&r)
		if got, err := recordjson.Of(r); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}
