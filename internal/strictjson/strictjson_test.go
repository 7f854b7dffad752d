package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// even is a number that is refused if it is odd.
type even int

func (e *even) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, (*int)(e)); err != nil || *e%2 != 0 {
		return errors.New("want an even number")
	}
	return nil
}

type document struct {
	Name   string            `json:"name"`
	On     *bool             `json:"on"`
	Count  *int64            `json:"count,omitempty"`
	Small  int8              `json:"small"`
	Tags   []string          `json:"tags"`
	Pairs  map[string]string `json:"pairs"`
	At     *time.Time        `json:"at"`
	Even   even              `json:"even"`
	Raw    json.RawMessage   `json:"raw"`
	Nested struct {
		Count int `json:"count"`
	} `json:"nested"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	loose := strictjson.Rules{MaxDepth: 3, AnyCase: true}
	const unpaired = `the JSON has a surrogate, such as \ud800, without its pair`
	for _, tt := range []struct {
		name, json string
		rules      strictjson.Rules // zero: MaxDepth 3
		want       string           // the error
	}{
		{"every field", `{"name":"x","on":true,"count":-1,"small":127,"tags":["a"],"pairs":{"A":"1","a":"2"},` +
			`"at":"2027-01-31T00:00:00Z","even":2,"raw":[{}],"nested":{"count":1}}`, strictjson.Rules{}, ""},
		{"nothing", `{}`, strictjson.Rules{}, ""},
		{"null everywhere", `{"name":null,"on":null,"tags":[null],"pairs":null,"at":null,"even":null,"nested":null}`, strictjson.Rules{}, ""},
		{"spaces", " {\t\"name\" : \"x\" }\n", strictjson.Rules{}, ""},
		{"another case", `{"NAME":"x"}`, loose, ""},

		{"empty", ``, strictjson.Rules{}, "the JSON is incomplete"},
		{"cut", `{"name":"x`, strictjson.Rules{}, "the JSON is incomplete"},
		{"a comma too many", `{"name":"x",}`, strictjson.Rules{}, "the JSON is invalid at byte 12"},
		{"a number as a name", `{1:2}`, strictjson.Rules{}, "the JSON is invalid at byte 1"},
		{"another value", `{} {}`, strictjson.Rules{}, "there is data after the JSON value"},
		{"a NUL", "{}\x00", strictjson.Rules{}, "there is data after the JSON value"},
		{"not UTF-8", "{\"name\":\"\xff\"}", strictjson.Rules{}, "the JSON is not valid UTF-8"},
		{"surrogates in pairs", `{"name":"\\\ud83d\uDE00\uD834\udd1e\\ud800\ud7ff\ue000\ufffd😀"}`, strictjson.Rules{}, ""},
		{"half a pair", `{"name":"\ud800x"}`, strictjson.Rules{}, unpaired},
		{"half a pair at the end", `{"name":"\\\uDBFF"}`, strictjson.Rules{}, unpaired},
		{"the second half of a pair", `{"name":"\uDC00"}`, strictjson.Rules{}, unpaired},
		{"a pair and a half", `{"name":"\ud83d\ude00\ude00"}`, strictjson.Rules{}, unpaired},
		{"a pair in the wrong order", `{"name":"\ude00\ud83d"}`, strictjson.Rules{}, unpaired},
		{"two first halves", `{"name":"\ud83d\ud83d\ude00"}`, strictjson.Rules{}, unpaired},
		{"half a pair and an escaped backslash", `{"name":"\ud83d\\ude00"}`, strictjson.Rules{}, unpaired},
		{"half a pair in a name", `{"pairs":{"\ud800":"x"}}`, strictjson.Rules{}, unpaired},
		{"half a pair in a value that is not read", `{"raw":["\ud800"]}`, strictjson.Rules{}, unpaired},
		{"too long", `{"name":"x"}`, strictjson.Rules{MaxBytes: 11, MaxDepth: 3}, "the JSON has 12 bytes, want at most 11"},
		{"as long as allowed", `{"name":"x"}`, strictjson.Rules{MaxBytes: 12, MaxDepth: 3}, ""},
		{"too deep", `{"raw":[[[]]]}`, strictjson.Rules{}, "raw is nested too deeply: more than 3 levels"},
		{"a list", `[]`, strictjson.Rules{}, "the JSON must be an object"},
		{"null", `null`, strictjson.Rules{}, "the JSON must be an object"},
		{"null where none may be", `{"nested":{"count":null}}`, strictjson.Rules{MaxDepth: 3, NoNull: true}, "nested.count must not be null: omit the field"},
		{"twice", `{"name":"x","name":"x"}`, strictjson.Rules{}, "name appears twice"},
		{"twice, escaped", `{"name":"x","n\u0061me":"x"}`, strictjson.Rules{}, "name appears twice"},
		{"twice, nested", `{"nested":{"count":1,"count":1}}`, strictjson.Rules{}, "nested.count appears twice"},
		{"twice, in a value that is not read", `{"raw":[{"a":1,"a":1}]}`, strictjson.Rules{}, "raw.a appears twice"},
		{"twice, in another case", `{"name":"x","Name":"y"}`, loose, "Name appears twice"},
		{"twice, with a long s", `{"tags":[],"tagſ":["a"]}`, loose, `"tagſ" appears twice`},
		{"unknown", `{"owner":"x"}`, strictjson.Rules{}, "unknown field owner"},
		{"unknown, nested", `{"nested":{"a b":1}}`, strictjson.Rules{}, `unknown field nested."a b"`},
		{"unknown case", `{"Name":"x"}`, strictjson.Rules{}, "unknown field Name"},
		{"unknown and long", `{"` + strings.Repeat("x", 1000) + `":1}`, strictjson.Rules{}, `unknown field "` + strings.Repeat("x", 64) + `"`},

		{"a number for a string", `{"name":7}`, strictjson.Rules{}, "name must be a string"},
		{"a string for a bool", `{"on":"true"}`, strictjson.Rules{}, "on must be true or false"},
		{"a string for a number", `{"count":"1"}`, strictjson.Rules{}, "count must be a whole number"},
		{"a fraction", `{"count":1.5}`, strictjson.Rules{}, "count must be a whole number"},
		{"an exponent", `{"count":1e2}`, strictjson.Rules{}, "count must be a whole number"},
		{"a number that is too large", `{"small":128}`, strictjson.Rules{}, "small must be a whole number"},
		{"an object for a list", `{"tags":{}}`, strictjson.Rules{}, "tags must be a list"},
		{"a number in a list", `{"tags":["a",1]}`, strictjson.Rules{}, "tags[1] must be a string"},
		{"a list for an object", `{"nested":[]}`, strictjson.Rules{}, "nested must be an object"},
		{"a number in a map", `{"pairs":{"a":1}}`, strictjson.Rules{}, "pairs.a must be a string"},
		{"no time", `{"at":"tomorrow"}`, strictjson.Rules{}, "at must be a time in RFC 3339, such as 2027-01-31T00:00:00Z"},
		{"refused by the type itself", `{"even":1}`, strictjson.Rules{}, "even: want an even number"},
	} {
		rules := tt.rules
		if rules == (strictjson.Rules{}) {
			rules.MaxDepth = 3
		}
		var got document
		if err := strictjson.Decode([]byte(tt.json), &got, rules); message(err) != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, message(err), tt.want)
		}
		var want document
		if tt.want == "" && (json.Unmarshal([]byte(tt.json), &want) != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("%s: got %+v, want the same as encoding/json, %+v", tt.name, got, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An error has a bounded length, even if the document has long names.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"`+strings.Repeat("\\u0001", 100)+`":`, 100)
	for _, end := range []string{"", "1", "{"} {
		if _, err := strictjson.Parse([]byte(deep+end), strictjson.Rules{MaxDepth: 64}); err == nil || len(err.Error()) > 1000 {
			t.Errorf("got an error of %d bytes: %v", len(message(err)), err)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := strictjson.Parse([]byte(`{"a":[1.50,{"b":null}],"A":"x","n":12345678901234567890}`), strictjson.Rules{MaxDepth: 3})
	want := map[string]any{"a": []any{json.Number("1.50"), map[string]any{"b": nil}}, "A": "x", "n": json.Number("12345678901234567890")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestDecodeCanonical(t *testing.T) {
	t.Parallel()
	type pair struct {
		A string `json:"a"`
		B int    `json:"b,omitempty"`
	}
	for _, tt := range []struct {
		json string
		ok   bool
	}{
		{`{"a":"x"}`, true},
		{`{"a":"x","b":1}`, true},
		{`{"a":"x","b":0}`, false},
		{`{"b":1,"a":"x"}`, false},
		{`{"A":"x"}`, false},
		{`{"a":"x","c":1}`, false},
		{`{"a":"x","a":"x"}`, false},
		{`{"a":"x"} `, false},
		{`{"a":null}`, false},
		{`{"a":"\ud800"}`, false},
		{``, false},
	} {
		var got pair
		if err := strictjson.DecodeCanonical([]byte(tt.json), &got); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", tt.json, err)
		}
	}
}
