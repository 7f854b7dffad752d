package apikey_test

import (
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
)

func sampleRecord() store.Record {
	at := time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC)
	return store.Record{
		ID: "key_1", Owner: "<owner>\u2028", Name: "n", Hint: "key_abcd", CreatedBy: "me", RevokeReason: "leaked", ReplacedBy: "key_2",
		Digest: apikey.DigestOf("x"), Scopes: []string{"a", "b:c"}, Metadata: map[string]string{"k": "v", "": ""},
		CreatedAt: at, ExpiresAt: at.Add(2 * time.Hour), DisabledAt: at.Add(time.Microsecond), RevokedAt: at.Add(time.Hour), LastUsedAt: at.Add(time.Minute),
	}
}

// Encoding and decoding a record does not change it.
func TestRecordRoundTrip(t *testing.T) {
	whole := sampleRecord()
	for name, r := range map[string]store.Record{
		"whole":    whole,
		"smallest": {ID: "key_1", Owner: "o", Digest: apikey.DigestOf("x")},
	} {
		b, err := apikey.EncodeRecord(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := apikey.DecodeRecord(b); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: decoded %s: got\n%+v, %v, want\n%+v", name, b, got, err, r)
		}
	}
	// The sample must have every field, so that a new field of store.Record is tested too.
	v := reflect.ValueOf(whole)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the sample has no %s, so its encoding is not tested", v.Type().Field(i).Name)
		}
	}
}

// Advisory 14 (CVE-2021-32923): a time long ago does not become the zero time, which means
// never. An expired or revoked key stays expired or revoked.
func TestTimesInShared(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Time
	}{
		{"the epoch", time.Unix(0, 0).UTC()},
		{"a microsecond before the epoch", time.Unix(0, -1000).UTC()},
		{"the year 1", time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)},
		{"the year 9999", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"another zone", time.Date(1970, 1, 1, 5, 0, 0, 0, time.FixedZone("", 5*3600))},
	} {
		for field, set := range map[string]func(*store.Record) *time.Time{
			"ExpiresAt":  func(r *store.Record) *time.Time { return &r.ExpiresAt },
			"DisabledAt": func(r *store.Record) *time.Time { return &r.DisabledAt },
			"RevokedAt":  func(r *store.Record) *time.Time { return &r.RevokedAt },
			"CreatedAt":  func(r *store.Record) *time.Time { return &r.CreatedAt },
			"LastUsedAt": func(r *store.Record) *time.Time { return &r.LastUsedAt },
		} {
			r := store.Record{ID: "key_1", Owner: "o", Digest: apikey.DigestOf("x")}
			*set(&r) = tt.at
			b, err := apikey.EncodeRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := apikey.DecodeRecord(b)
			if at := *set(&got); err != nil || !at.Equal(tt.at) || at.IsZero() {
				t.Errorf("%s: decoded %s: got %v, %v, want %v", tt.name, field, at, err, tt.at)
			}
		}
	}
	// A time that is rounded to zero must not become never.
	r := store.Record{ID: "key_1", Owner: "o", Digest: apikey.DigestOf("x"), RevokedAt: time.Time{}.Add(1)}
	if b, err := apikey.EncodeRecord(r); err == nil {
		if got, err := apikey.DecodeRecord(b); err == nil && got.RevokedAt.IsZero() {
			t.Error("a revocation one nanosecond after the zero time was lost in decoding")
		}
	}
}

// JSON would change a string that is not UTF-8.
func TestRecordsThatAreNotUTF8(t *testing.T) {
	for field, set := range map[string]func(r *store.Record, text string){
		"ID":             func(r *store.Record, text string) { r.ID = text },
		"Owner":          func(r *store.Record, text string) { r.Owner = text },
		"Name":           func(r *store.Record, text string) { r.Name = text },
		"Hint":           func(r *store.Record, text string) { r.Hint = text },
		"CreatedBy":      func(r *store.Record, text string) { r.CreatedBy = text },
		"RevokeReason":   func(r *store.Record, text string) { r.RevokeReason = text },
		"ReplacedBy":     func(r *store.Record, text string) { r.ReplacedBy = text },
		"Scopes":         func(r *store.Record, text string) { r.Scopes[1] = text },
		"Metadata name":  func(r *store.Record, text string) { r.Metadata[text] = "v" },
		"Metadata value": func(r *store.Record, text string) { r.Metadata["k"] = text },
	} {
		for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80"} {
			r := sampleRecord()
			set(&r, text)
			if b, err := apikey.EncodeRecord(r); err == nil {
				t.Errorf("%s with %q: got the encoding %s, want an error", field, text, b)
			}
		}
	}
}

// Decoding any bytes does not panic, and a decoded record does not change if it is encoded
// and decoded again.
func FuzzRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := apikey.DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := apikey.EncodeRecord(r)
		if err != nil {
			t.Fatalf("%q is decoded as %+v, which cannot be encoded: %v", b, r, err)
		}
		same, err := apikey.DecodeRecord(again)
		if len(r.Scopes) == 0 {
			r.Scopes = nil
		}
		if len(r.Metadata) == 0 {
			r.Metadata = nil
		}
		if err != nil || !reflect.DeepEqual(same, r) || !utf8.ValidString(r.Owner) {
			t.Errorf("%q: got %+v from the first decoding, and %+v, %v after another round trip", b, r, same, err)
		}
	})
}
