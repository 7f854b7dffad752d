package entitlement_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

const catalogFile = `{
	"free": {},
	"trial": {"api_access": true, "rank": 1, "scopes": [], "features": []},
	"pro": {
		"api_access": true,
		"rank":       2,
		"max_keys":   5,
		"scopes":     ["reports:*"],
		"features":   ["export"],
		"limits":     {"per_minute": 60, "per_day": 10000},
		"grace":      "72h"
	},
	"enterprise": {"api_access": true, "rank": 2, "max_keys": -1, "limits": {"per_minute": -1, "per_day": -1}}
}`

func TestParseCatalog(t *testing.T) {
	t.Parallel()
	c, err := entitlement.ParseCatalog([]byte(catalogFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []entitlement.Entitlement{
		{Plan: "free"},
		{Plan: "trial", APIAccess: true, Rank: 1, Scopes: []string{}, Features: []string{}},
		{
			Plan: "pro", APIAccess: true, Rank: 2, MaxKeys: 5, Scopes: []string{"reports:*"}, Features: []string{"export"},
			Limits: entitlement.Limits{PerMinute: 60, PerDay: 10_000}, Grace: 72 * time.Hour,
		},
		{Plan: "enterprise", APIAccess: true, Rank: 2, MaxKeys: -1, Limits: entitlement.Limits{PerMinute: -1, PerDay: -1}},
	} {
		if got, err := c.Plan(want.Plan); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestParseCatalogRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want string // in the error
	}{
		"nothing":                    {``, "the JSON is incomplete"},
		"spaces":                     {` `, "the JSON is incomplete"},
		"no plans":                   {`{}`, "at least one plan"},
		"null":                       {`null`, "null"},
		"a list":                     {`[]`, "catalog"},
		"a string":                   {`"pro"`, "catalog"},
		"a cut file":                 {`{"pro": {"max_keys": 5`, "the JSON is incomplete"},
		"a comma too many":           {`{"pro": {},}`, "the JSON is invalid at byte 11"},
		"trailing object":            {`{"pro": {}} {}`, "data after"},
		"a trailing brace":           {`{"pro": {}}}`, "data after"},
		"a plan twice":               {`{"pro": {}, "pro": {}}`, `pro appears twice`},
		"a plan in another case":     {`{"pro": {}, "Pro": {}}`, `Pro appears twice`},
		"a plan escaped":             {`{"pro": {}, "\u0070ro": {}}`, `pro appears twice`},
		"an empty name":              {`{"": {}}`, `plan ""`},
		"a name with spaces":         {`{" pro": {}}`, `plan " pro"`},
		"a plan that is null":        {`{"pro": null}`, `pro must not be null`},
		"a plan that is a list":      {`{"pro": []}`, `plan "pro"`},
		"an unknown field":           {`{"pro": {"max_key": 5}}`, `plan "pro": unknown field max_key`},
		"a name for a plan":          {`{"pro": {"plan": "pro"}}`, `plan "pro": unknown field plan`},
		"a field twice":              {`{"pro": {"max_keys": 5, "max_keys": 50}}`, `pro.max_keys appears twice`},
		"a field in another case":    {`{"pro": {"max_keys": 5, "Max_Keys": 50}}`, `pro.Max_Keys appears twice`},
		"a field with a long s":      {`{"pro": {"scopes": [], "ſcopes": ["*"]}}`, `pro."ſcopes" appears twice`},
		"a field with a kelvin sign": {`{"pro": {"max_keys": 5, "max_` + "\u212a" + `eys": 50}}`, "appears twice"},
		"a limit twice":              {`{"pro": {"limits": {"per_day": 1, "PER_DAY": 2}}}`, `pro.limits.PER_DAY appears twice`},
		"an unknown limit":           {`{"pro": {"limits": {"per_hour": 1}}}`, `plan "pro": unknown field limits.per_hour`},
		"scopes that are null":       {`{"pro": {"scopes": null}}`, `pro.scopes must not be null`},
		"no rank":                    {`{"pro": {"rank": 0}}`, `plan "pro": rank is 0`},
		"a negative rank":            {`{"pro": {"rank": -1}}`, `plan "pro": rank: -1 is negative`},
		"a rank that is missing":     {`{"pro": {"api_access": true}, "team": {"api_access": true, "rank": 1}}`, `plan "pro": rank is missing`},
		"no keys":                    {`{"pro": {"max_keys": 0}}`, `plan "pro": max_keys is 0`},
		"no requests a minute":       {`{"pro": {"limits": {"per_minute": 0, "per_day": 5}}}`, `plan "pro": limits: per_minute is 0`},
		"no requests a day":          {`{"pro": {"limits": {"per_minute": 5, "per_day": 0}}}`, `plan "pro": limits: per_day is 0`},
		"one limit":                  {`{"pro": {"limits": {"per_minute": 5}}}`, `plan "pro": limits: per_day is 0`},
		"impossible limits":          {`{"pro": {"limits": {"per_minute": 5, "per_day": 4}}}`, `plan "pro": limits: per_minute (5)`},
		"a name that is not UTF-8":   {"{\"p\xff\": {}}", "not valid UTF-8"},
		"half a key":                 {`{"pro": {"max_keys": 1.5}}`, `plan "pro": max_keys must be a whole number`},
		"too many keys for an int":   {`{"pro": {"max_keys": 1e99}}`, `plan "pro": max_keys must be a whole number`},
		"keys in words":              {`{"pro": {"max_keys": "5"}}`, `plan "pro": max_keys must be a whole number`},
		"a grace that is a number":   {`{"pro": {"grace": 72}}`, `plan "pro": grace must be a string`},
		"a grace in days":            {`{"pro": {"grace": "3d"}}`, `plan "pro": grace: want a duration`},
		"an empty grace":             {`{"pro": {"grace": ""}}`, `plan "pro": grace: want a duration`},
		"no grace":                   {`{"pro": {"grace": "0s"}}`, `plan "pro": grace is 0`},
		"a negative grace":           {`{"pro": {"grace": "-1h"}}`, `plan "pro": grace: -1h0m0s is negative`},
		"a grace of years":           {`{"pro": {"grace": "8785h"}}`, `plan "pro": grace: 8785h0m0s is longer`},
		"a scope no key can have":    {`{"pro": {"scopes": ["a b"]}}`, `plan "pro": scope "a b"`},
		"an end":                     {`{"pro": {"valid_until": "2027-01-01T00:00:00Z"}}`, `plan "pro": unknown field valid_until`},
		"an error in the second":     {`{"a": {}, "b": {"max_keys": 0}, "c": {}}`, `plan "b"`},
		"a file that is too long":    {`{"pro": {}}` + strings.Repeat(" ", 1<<20), "at most 1048576"},
		"deep lists":                 {`{"pro": {"scopes": ` + strings.Repeat("[", 1<<19), `pro.scopes is nested too deeply`},
		"deep objects":               {strings.Repeat(`{"a":`, 1<<17), "nested too deeply"},
		"a name as long as a novel":  {`{"` + strings.Repeat("a", 1<<19) + `": null}`, strings.Repeat("a", 64)},
	} {
		_, err := entitlement.ParseCatalog([]byte(c.file))
		switch {
		case !errors.As(err, new(*entitlement.InvalidError)) || !strings.HasPrefix(err.Error(), "entitlement: ") || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: got %v, want an InvalidError with %q", name, err, c.want)
		case len(err.Error()) > 1000:
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func TestParseCatalogAtItsBounds(t *testing.T) {
	t.Parallel()
	file := `{"pro": {"api_access": true, "grace": "8784h"}}`
	c, err := entitlement.ParseCatalog([]byte(file + strings.Repeat(" ", 1<<20-len(file))))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := c.Plan("pro"); err != nil || e.Grace != 366*24*time.Hour {
		t.Errorf("got %+v, %v", e, err)
	}
}
