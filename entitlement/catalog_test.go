package entitlement_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
)

var plans = map[string]entitlement.Entitlement{
	"free": {},
	"pro":  {APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}, Features: []string{"export"}},
}

func newPlanCatalog(t *testing.T) *entitlement.Catalog {
	t.Helper()
	c, err := entitlement.NewCatalog(plans)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogPlan(t *testing.T) {
	t.Parallel()
	c := newPlanCatalog(t)
	want := plans["pro"]
	want.Plan = "pro"
	got, err := c.Plan("pro")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Plan(pro): got %+v, %v, want %+v", got, err, want)
	}
	got.Scopes[0], got.Features[0] = "*", "all"
	if again, _ := c.Plan("pro"); !reflect.DeepEqual(again, want) {
		t.Errorf("changing a returned plan changed the catalog: got %+v", again)
	}
	for _, name := range []string{"", "Pro", "pro ", "premium"} {
		if got, err := c.Plan(name); !errors.Is(err, entitlement.ErrUnknownPlan) || errors.Is(err, entitlement.ErrNone) || got.APIAccess {
			t.Errorf("Plan(%q): got %+v, %v, want ErrUnknownPlan", name, got, err)
		}
	}
}

func TestCatalogDoesNotChangeWithItsPlans(t *testing.T) {
	t.Parallel()
	given := map[string]entitlement.Entitlement{"pro": {APIAccess: true, Scopes: []string{"a"}}}
	c, err := entitlement.NewCatalog(given)
	if err != nil {
		t.Fatal(err)
	}
	given["pro"].Scopes[0] = "*"
	given["more"] = entitlement.Entitlement{}
	if got, _ := c.Plan("pro"); got.Scopes[0] != "a" {
		t.Errorf("changing the argument changed the catalog: got scopes %q", got.Scopes)
	}
	if _, err := c.Plan("more"); err == nil {
		t.Error("adding a plan to the argument added it to the catalog")
	}
}

func TestCatalogRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plans map[string]entitlement.Entitlement
		want  string
	}{
		"nothing":       {nil, "at least one plan"},
		"no name":       {map[string]entitlement.Entitlement{"": {}}, `plan ""`},
		"spaces":        {map[string]entitlement.Entitlement{"pro ": {}}, `plan "pro "`},
		"another name":  {map[string]entitlement.Entitlement{"pro": {Plan: "free"}}, `plan "pro": the Plan field is "free"`},
		"empty scope":   {map[string]entitlement.Entitlement{"pro": {Scopes: []string{""}}}, `plan "pro": scope ""`},
		"invalid scope": {map[string]entitlement.Entitlement{"pro": {Scopes: []string{"a b"}}}, `plan "pro": scope "a b"`},
		"negative rank": {map[string]entitlement.Entitlement{"pro": {Rank: -1}}, `plan "pro": rank: -1 is negative`},
		"missing rank":  {map[string]entitlement.Entitlement{"pro": {APIAccess: true}, "free": {}, "team": {APIAccess: true, Rank: 1}}, `plan "pro": rank is missing: plan "team" has one`},
		"long scope":    {map[string]entitlement.Entitlement{"pro": {Scopes: []string{strings.Repeat("a", 65)}}}, `plan "pro": scope`},
	} {
		if _, err := entitlement.NewCatalog(c.plans); !errors.As(err, new(*entitlement.InvalidError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an InvalidError with %q", name, err, c.want)
		}
	}
}

func TestCatalogProvider(t *testing.T) {
	t.Parallel()
	down := errors.New("billing is down")
	provider := newPlanCatalog(t).Provider(func(_ context.Context, owner string) (string, error) {
		switch owner {
		case "down":
			return "pro", down
		case "gone":
			return "", entitlement.ErrNone
		case "nobody":
			return "", nil
		}
		return owner, nil
	})
	for owner, want := range map[string]error{
		"pro": nil, "free": nil, "down": down, "gone": entitlement.ErrNone, "nobody": entitlement.ErrNone, "premium": entitlement.ErrUnknownPlan,
	} {
		e, err := provider.Entitlement(t.Context(), owner)
		if !errors.Is(err, want) || e.APIAccess != (owner == "pro") {
			t.Errorf("owner %s: got %+v, %v, want %v", owner, e, err, want)
		}
	}
	if _, err := provider.Entitlement(t.Context(), "premium"); errors.Is(err, entitlement.ErrNone) {
		t.Errorf("the error for an unknown plan matches ErrNone: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Provider(nil) did not panic")
		}
	}()
	newPlanCatalog(t).Provider(nil)
}
