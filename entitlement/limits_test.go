package entitlement_test

import (
	"math"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits entitlement.Limits
		want   string // in the error; empty: none
	}{
		"not set":               {entitlement.Limits{}, ""},
		"both":                  {entitlement.Limits{PerMinute: 60, PerDay: 10_000}, ""},
		"no limit":              {entitlement.Limits{PerMinute: -1, PerDay: -1}, ""},
		"no limit a minute":     {entitlement.Limits{PerMinute: -1, PerDay: 5}, ""},
		"no limit a day":        {entitlement.Limits{PerMinute: 5, PerDay: -1}, ""},
		"all of it in a minute": {entitlement.Limits{PerMinute: 100, PerDay: 100}, ""},
		"just possible":         {entitlement.Limits{PerMinute: 2, PerDay: 2880}, ""},
		"the highest":           {entitlement.Limits{PerMinute: math.MaxInt, PerDay: math.MaxInt}, ""},
		"the lowest":            {entitlement.Limits{PerMinute: math.MinInt, PerDay: math.MinInt}, ""},
		"no day":                {entitlement.Limits{PerMinute: 60}, "per_day is 0"},
		"no minute":             {entitlement.Limits{PerDay: 60}, "per_minute is 0"},
		"no day, free minutes":  {entitlement.Limits{PerMinute: -1}, "per_day is 0"},
		"a minute above a day":  {entitlement.Limits{PerMinute: 101, PerDay: 100}, "per_minute (101) is greater than per_day (100)"},
		"just impossible":       {entitlement.Limits{PerMinute: 2, PerDay: 2881}, "per_day (2881) cannot be reached at per_minute (2)"},
		"far from possible":     {entitlement.Limits{PerMinute: 1, PerDay: math.MaxInt}, "cannot be reached"},
	} {
		_, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {Limits: c.limits}})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `plan "pro"`)):
			t.Errorf("%s: got %v, want an error with %q that names the plan", name, err, c.want)
		}
	}
}
