package webhook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// With an empty or guessable secret, anyone could sign.
func TestInvalidSecrets(t *testing.T) {
	t.Parallel()
	all := map[string][]string{
		"none": nil, "empty": {""}, "the prefix alone": {"whsec_"}, "short": {"whsec_c2VjcmV0Cg=="},
		"23 bytes":                {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY="},
		"zeros":                   {"whsec_" + strings.Repeat("A", 64)},
		"one valid and one empty": {secret, ""}, "one empty and one valid": {"", secret},
		"with a line break": {secret + "\n"}, "with a space before": {" " + secret},
		"nine":     {secret, secret, secret, secret, secret, secret, secret, secret, secret},
		"too long": {"whsec_" + strings.Repeat("MTIz", 200)},
	}
	for _, s := range systems {
		for name, secrets := range all {
			if s.name != "dodo" && name == "23 bytes" {
				continue // its text is long enough
			}
			_, err := webhook.New(newStore(), s.source(secrets...), catalog, products, nil)
			if err == nil || strings.Contains(err.Error(), "c2Vj") || !strings.Contains(err.Error(), s.name) {
				t.Errorf("%s: secret that is %s: got %v, want an error", s.name, name, err)
			}
		}
	}
	for name, source := range map[string]webhook.Source{
		"a Stripe API key":       webhook.Stripe("sk_live_0123456789012345678901234567890123456789"),
		"not base64":             webhook.Dodo(business, "whsec_0123456789-0123456789_0123456789-0123"),
		"base64 without padding": webhook.Dodo(business, strings.TrimRight(secret, "=")),
		"base64 with more bits":  webhook.Dodo(business, strings.Replace(secret, "h8=", "h9=", 1)),
	} {
		if _, err := webhook.New(newStore(), source, catalog, products, nil); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
	for name, source := range map[string]webhook.Source{
		"24 bytes":                   webhook.Dodo(business, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
		"Polar's prefix, not base64": webhook.Polar(organization, "polar_whs_"+"0123456789abcdefABCDEF012"),
	} {
		if _, err := webhook.New(newStore(), source, catalog, products, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := webhook.Stripe(secret)
	unranked, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true}, "team": {APIAccess: true}, "free": {}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.New(newStore(), good, unranked, map[string]string{"price_1": "pro", "price_2": "free", "price_3": "pro"}, nil); err != nil {
		t.Errorf("New with two products of one plan with API access: got %v, want no error", err)
	}
	for name, c := range map[string]struct {
		st      webhook.Store
		source  webhook.Source
		catalog *entitlement.Catalog
		plans   map[string]string
		want    string
	}{
		"no store":            {nil, good, catalog, products, "invalid store"},
		"no source":           {newStore(), webhook.Source{}, catalog, products, "invalid source"},
		"no catalog":          {newStore(), good, nil, products, "catalog"},
		"no plans":            {newStore(), good, catalog, nil, "invalid products"},
		"unknown plan":        {newStore(), good, catalog, map[string]string{"price_1": "pro", "price_2": "enterprise"}, `product "price_2": entitlement: unknown plan: "enterprise"`},
		"plans without rank":  {newStore(), good, unranked, map[string]string{"price_1": "pro", "price_2": "team"}, `the plans ["pro" "team"] have no rank`},
		"another case":        {newStore(), good, catalog, map[string]string{"price_1": "Pro"}, `"Pro"`},
		"empty name":          {newStore(), good, catalog, map[string]string{"": "pro"}, `product ""`},
		"a control character": {newStore(), good, catalog, map[string]string{"a\x00": "pro"}, `product "a\x00"`},
	} {
		if _, err := webhook.New(c.st, c.source, c.catalog, c.plans, nil); !errors.As(err, new(*entitlement.InvalidError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an InvalidError with %q", name, err, c.want)
		}
	}
}

// New copies the products, so later changes have no effect.
func TestNewCopiesProducts(t *testing.T) {
	t.Parallel()
	plans := map[string]string{"price_1Qpro0KhExample": "pro"}
	st := newStore()
	h, err := webhook.New(st, webhook.Stripe(secret), catalog, plans, nil)
	if err != nil {
		t.Fatal(err)
	}
	plans["price_1Qpro0KhExample"] = "team"
	stripe.checkDelivery(t, h, "purchase", 200)
	if got := st.onlyRow(t).Plan; got != "pro" {
		t.Errorf("got plan %q, want pro", got)
	}
}
