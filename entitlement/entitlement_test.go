package entitlement_test

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func TestActive(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		e    entitlement.Entitlement
		want bool
	}{
		"zero":                 {entitlement.Entitlement{}, false},
		"a plan, no access":    {entitlement.Entitlement{Plan: "enterprise", MaxKeys: 100}, false},
		"access":               {entitlement.Entitlement{APIAccess: true}, true},
		"access until later":   {entitlement.Entitlement{APIAccess: true, ValidUntil: now.Add(1)}, true},
		"access until now":     {entitlement.Entitlement{APIAccess: true, ValidUntil: now}, false},
		"access until before":  {entitlement.Entitlement{APIAccess: true, ValidUntil: now.Add(-1)}, false},
		"no access until late": {entitlement.Entitlement{ValidUntil: now.Add(time.Hour)}, false},
	} {
		if got := c.e.Active(now); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestGrace(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		e    entitlement.Entitlement
		ends time.Time
	}{
		"no end":         {entitlement.Entitlement{APIAccess: true, Grace: time.Hour}, time.Time{}},
		"no grace":       {entitlement.Entitlement{APIAccess: true, ValidUntil: until}, until},
		"negative grace": {entitlement.Entitlement{APIAccess: true, ValidUntil: until, Grace: -time.Hour}, until},
		"grace":          {entitlement.Entitlement{APIAccess: true, ValidUntil: until, Grace: time.Hour}, until.Add(time.Hour)},
	} {
		if got := c.e.EndsAt(); !got.Equal(c.ends) {
			t.Errorf("%s: got the end %v, want %v", name, got, c.ends)
		}
		end := c.ends
		if end.IsZero() {
			end = until.AddDate(1000, 0, 0)
		}
		if !c.e.Active(end.Add(-1)) || c.e.Active(end) != c.ends.IsZero() {
			t.Errorf("%s: Active: got %t just before %v and %t at that instant, want true and false", name, c.e.Active(end.Add(-1)), end, c.e.Active(end))
		}
		c.e.APIAccess = false
		if c.e.Active(until.Add(-1)) {
			t.Errorf("%s: Active without APIAccess: got true, want false", name)
		}
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		granted, want string
		ok            bool
	}{
		{"reports:read", "reports:read", true},
		{"reports:read", "reports:write", false},
		{"reports:read", "Reports:read", false},
		{"reports:read", "reports:read:all", false},
		{"reports", "reports:read", false},
		{"*", "anything:at.all", true},
		{"reports:*", "reports:read", true},
		{"reports:*", "reports:a:b", true},
		{"reports:*", "reports:", true},
		{"reports:*", "reports", false},
		{"reports:*", "reportsx", false},
		{"a.*", "a.b", true},
		{"a/*", "a/b", true},
		{"rep*", "reports", false},
		{"rep*", "rep*", true},
		{"a-*", "a-b", false},
		{"*:read", "reports:read", false},
		{"a:*:c", "a:b:c", false},
		{"**", "a", false},
		{"reports:read", "*", false},
		{"reports:*", "*", false},
		{"reports:*", "reports:*", true},
		{"a:*", "a:b:*", true},
		{"a:b:*", "a:*", false},
		{"", "", true},
	} {
		if got := entitlement.Grants([]string{"other", c.granted}, c.want); got != c.ok {
			t.Errorf("Grants(%q, %q): got %v, want %v", c.granted, c.want, got, c.ok)
		}
	}
	if entitlement.Grants(nil, "a") {
		t.Error("no scopes granted a scope")
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	if e := (entitlement.Entitlement{}); !e.Covers("a") {
		t.Error("nil Scopes did not cover a scope")
	}
	if e := (entitlement.Entitlement{Scopes: []string{}}); e.Covers("a") {
		t.Error("empty Scopes covered a scope")
	}
	e := entitlement.Entitlement{Scopes: []string{"a:*"}, Features: []string{"export"}}
	if !e.Covers("a:b") || e.Covers("b") {
		t.Error("Covers does not match Grants")
	}
	if !e.Has("export") || e.Has("import") {
		t.Error("Has does not match the names of the features")
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	given := entitlement.Entitlement{APIAccess: true, Scopes: []string{"a"}}
	p := entitlement.Static(given)
	given.Scopes[0] = "*"
	for _, owner := range []string{"ann", "bob"} {
		if e, err := p.Entitlement(t.Context(), owner); err != nil || !e.APIAccess || e.Covers("b") {
			t.Errorf("owner %s: got %+v, %v", owner, e, err)
		}
	}
}
