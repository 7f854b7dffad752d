package entitlement_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

var yes, no = true, false

// An override replaces the fields that it sets, and no others.
func TestOverrideFieldByField(t *testing.T) {
	t.Parallel()
	plan := entitlement.Entitlement{
		Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"a"}, Features: []string{"export"},
		Limits: entitlement.Limits{PerMinute: 60, PerDay: 1000}, Grace: time.Hour, ValidUntil: begin,
	}
	for name, c := range map[string]struct {
		o    entitlement.Override
		want func(*entitlement.Entitlement)
	}{
		"nothing":      {entitlement.Override{}, func(*entitlement.Entitlement) {}},
		"access":       {entitlement.Override{APIAccess: &yes}, func(*entitlement.Entitlement) {}},
		"no access":    {entitlement.Override{APIAccess: &no}, func(e *entitlement.Entitlement) { e.APIAccess = false }},
		"keys":         {entitlement.Override{MaxKeys: 9}, func(e *entitlement.Entitlement) { e.MaxKeys = 9 }},
		"all keys":     {entitlement.Override{MaxKeys: -1}, func(e *entitlement.Entitlement) { e.MaxKeys = -1 }},
		"scopes":       {entitlement.Override{Scopes: []string{"b"}}, func(e *entitlement.Entitlement) { e.Scopes = []string{"b"} }},
		"no scopes":    {entitlement.Override{Scopes: []string{}}, func(e *entitlement.Entitlement) { e.Scopes = []string{} }},
		"features":     {entitlement.Override{Features: []string{"b"}}, func(e *entitlement.Entitlement) { e.Features = []string{"b"} }},
		"no features":  {entitlement.Override{Features: []string{}}, func(e *entitlement.Entitlement) { e.Features = []string{} }},
		"per minute":   {entitlement.Override{Limits: entitlement.Limits{PerMinute: 7}}, func(e *entitlement.Entitlement) { e.Limits.PerMinute = 7 }},
		"per day":      {entitlement.Override{Limits: entitlement.Limits{PerDay: -1}}, func(e *entitlement.Entitlement) { e.Limits.PerDay = -1 }},
		"longer grace": {entitlement.Override{Grace: 2 * time.Hour}, func(e *entitlement.Entitlement) { e.Grace = 2 * time.Hour }},
		"no grace":     {entitlement.Override{Grace: -1}, func(e *entitlement.Entitlement) { e.Grace = -1 }},
	} {
		want := plan.Clone()
		c.want(&want)
		if got := c.o.Apply(plan); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if zero := name == "nothing"; c.o.IsZero() != zero {
			t.Errorf("%s: IsZero: got %t", name, !zero)
		}
	}
}

func TestOverrideSharesNoSlice(t *testing.T) {
	t.Parallel()
	o := entitlement.Override{Scopes: []string{"a"}}
	plan := entitlement.Entitlement{Features: []string{"export"}}
	e := o.Apply(plan)
	e.Scopes[0], e.Features[0] = "*", "all"
	if o.Scopes[0] != "a" || plan.Features[0] != "export" {
		t.Errorf("changing the result changed the override to %q and the plan to %q", o.Scopes, plan.Features)
	}
}

func TestOverrideJSON(t *testing.T) {
	t.Parallel()
	for text, o := range map[string]entitlement.Override{
		`{}`:                              {},
		`{"api_access":true}`:             {APIAccess: &yes},
		`{"api_access":false}`:            {APIAccess: &no},
		`{"max_keys":-1}`:                 {MaxKeys: -1},
		`{"scopes":[],"features":[]}`:     {Scopes: []string{}, Features: []string{}},
		`{"scopes":["*"]}`:                {Scopes: []string{"*"}},
		`{"limits":{"per_day":-1}}`:       {Limits: entitlement.Limits{PerDay: -1}},
		`{"limits":{"per_minute":5}}`:     {Limits: entitlement.Limits{PerMinute: 5}},
		`{"grace":"72h0m0s"}`:             {Grace: 72 * time.Hour},
		`{"grace":"-1ns"}`:                {Grace: -1},
		`{"max_keys":9,"features":["x"]}`: {MaxKeys: 9, Features: []string{"x"}},
	} {
		if got, err := json.Marshal(o); err != nil || string(got) != text {
			t.Errorf("got %s, %v, want %s", got, err, text)
		}
		var again entitlement.Override
		if err := json.Unmarshal([]byte(text), &again); err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%s: got %+v, %v, want %+v", text, again, err, o)
		}
	}
	var lowest entitlement.Override
	if text, err := json.Marshal(entitlement.Override{Grace: math.MinInt64}); err != nil || json.Unmarshal(text, &lowest) != nil || lowest.Grace != math.MinInt64 {
		t.Errorf("the lowest grace: got %+v, %v", lowest, err)
	}
}

// If the JSON is refused, the override is unchanged.
func TestOverrideJSONRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`:                                "must be an object",
		`{"max_keys":0}`:                    "max_keys is 0",
		`{"limits":{"per_minute":0}}`:       "limits: per_minute is 0",
		`{"limits":{"per_day":0}}`:          "limits: per_day is 0",
		`{"grace":"0"}`:                     "grace is 0",
		`{"grace":"8785h"}`:                 "longer",
		`{"scopes":[""]}`:                   `scope ""`,
		`{"scopes":null}`:                   `scopes must not be null`,
		`{"rank":1}`:                        "unknown field rank",
		`{"rank":0}`:                        "rank is 0",
		`{"api_access":null}`:               `api_access must not be null`,
		`{"api_access":"true"}`:             "api_access must be true or false",
		`{"valid_until":"2027-01-01"}`:      "unknown field",
		`{"max_keys":1,"MAX_KEYS":2}`:       "appears twice",
		`{"scopes":[[[[[[[[[[]]]]]]]]]]}`:   "nested too deeply",
		`{"features":[{"a":1,"a":2}]}`:      "appears twice",
		`{"limits":{"per_day":1,"x":true}}`: "unknown field",
	} {
		o := entitlement.Override{MaxKeys: 3}
		if err := json.Unmarshal([]byte(text), &o); err == nil || !strings.Contains(err.Error(), want) || o.MaxKeys != 3 {
			t.Errorf("%s: got %+v, %v, want an error with %q", text, o, err, want)
		}
	}
	o := entitlement.Override{MaxKeys: 3}
	if err := json.Unmarshal([]byte("null"), &o); err != nil || o.MaxKeys != 3 {
		t.Errorf("null: got %+v, %v, want no change", o, err)
	}
}

func TestOverrideCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    entitlement.Override
		good bool
	}{
		"nothing":          {entitlement.Override{}, true},
		"the longest":      {entitlement.Override{Grace: 366 * 24 * time.Hour}, true},
		"negative":         {entitlement.Override{Grace: -1}, true},
		"impossible limit": {entitlement.Override{Limits: entitlement.Limits{PerMinute: 9, PerDay: 1}}, true}, // Check does not compare the limits
		"too long":         {entitlement.Override{Grace: 366*24*time.Hour + 1}, false},
		"no scope":         {entitlement.Override{Scopes: []string{"a", "b c"}}, false},
	} {
		if err := c.o.Check(); (err == nil) != c.good || errors.As(err, new(*entitlement.InvalidError)) == c.good || !c.good && !strings.HasPrefix(err.Error(), "entitlement: invalid override: ") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := json.Marshal(c.o); (err == nil) != c.good {
			t.Errorf("%s: as JSON: got %v, want an error exactly if Check returns one", name, err)
		}
	}
}
