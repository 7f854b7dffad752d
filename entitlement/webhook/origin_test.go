package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// E-04: events of test mode and of other accounts change nothing and are saved, unless the
// options accept them.
func TestOrigins(t *testing.T) {
	t.Parallel()
	const live, polarOrganization, dodoBusiness = `"livemode": true,` + "\n  \"pending_webhooks\"", `"organization_id": "` + organization, `"business_id": "` + business
	connected := live + `: 1, "account": "acct_2", "context": "acct_2", "x"`
	accept := func(accounts ...string) *webhook.Options {
		o := withOwner()
		o.Accounts = accounts
		return o
	}
	test := withOwner()
	test.InsecureTestMode = true
	for _, c := range []struct {
		name     string
		system   system
		old, new string
		opts     *webhook.Options
		want     int
	}{
		{"test mode", stripe, live, strings.Replace(live, "true", "false", 1), withOwner(), 422},
		{"test mode, accepted", stripe, live, strings.Replace(live, "true", "false", 1), test, 200},
		{"live mode, test mode accepted", stripe, live, live, test, 200},
		{"an object of test mode", stripe, `"livemode": true,` + "\n      \"metadata\"", `"livemode": false, "metadata"`, withOwner(), 200},
		{"no mode", stripe, live, `"pending_webhooks"`, test, 422},
		{"an unknown mode", stripe, live, strings.Replace(live, "true", `"true"`, 1), test, 422},
		{"a connected account", stripe, live, connected, withOwner(), 422},
		{"another connected account", stripe, live, connected, accept("acct_1", "acct_3"), 422},
		{"a connected account, accepted", stripe, live, connected, accept("acct_1", "acct_2"), 200},
		{"the endpoint's own account, others accepted", stripe, live, live, accept("acct_2"), 200},
		{"an account of the organization", stripe, live, live + `: 1, "context": "acct_2", "x"`, withOwner(), 422},
		{"an account of the organization, accepted", stripe, live, live + `: 1, "context": "acct_2", "x"`, accept("acct_2"), 200},
		{"no connected account", stripe, live, live + `: 1, "account": null, "context": null, "x"`, withOwner(), 200},
		{"an empty account", stripe, live, live + `: 1, "account": "", "x"`, accept(""), 422},
		{"another organization", polar, polarOrganization, `"organization_id": "6f7a1c1e`, withOwner(), 422},
		{"another organization, accepted", polar, polarOrganization, `"organization_id": "6f7a1c1e`, accept("6f7a1c1e"), 200},
		{"no organization", polar, polarOrganization, `"x": "`, withOwner(), 422},
		{"another business", dodo, dodoBusiness, `"business_id": "bus_2`, withOwner(), 422},
		{"another business, accepted", dodo, dodoBusiness, `"business_id": "bus_2`, accept("bus_2"), 200},
		{"no business", dodo, dodoBusiness, `"x": "`, withOwner(), 422},
	} {
		for _, event := range append(c.system.payment(), "purchase", "cancel", "refund") {
			body := loadPayload(t, c.system, event)
			if !strings.Contains(string(body), c.old) && strings.HasPrefix(c.name, "an object") {
				continue
			}
			st := newStore()
			got := c.system.deliver(c.system.handler(t, st, c.opts), "e", edit(t, body, c.old, c.new))
			if got != c.want || len(st.rejected) != map[int]int{422: 1}[c.want] || len(st.rows) != map[int]int{200: 1}[c.want] {
				t.Errorf("%s, %s: got %d, rows %v, rejected %v, want %d", c.name, event, got, st.rows, st.rejected, c.want)
			}
		}
	}
}

// E-04: an event of an API version in which a refund could be lost is rejected and saved. The
// reason says what to do.
func TestStripeVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		want    int
	}{
		{`"2023-10-16"`, 422}, {`"2024-06-20"`, 422}, {`"2024-09-30.acacia"`, 422}, {`"2024-10-27.preview"`, 422},
		{`"2024-10-28.acacia"`, 200}, {`"2024-10-28.preview"`, 200}, {`"2025-02-24.acacia"`, 200}, {`"2025-03-30.preview"`, 200},
		{`"2025-03-31.basil"`, 422}, {`"2025-03-31"`, 422}, {`"2025-04-30.basil"`, 422}, {`"2025-04-30.preview"`, 422}, {`"2025-05-27.basil"`, 422},
		{`"2025-05-28.basil"`, 200}, {`"2025-05-28.preview"`, 200}, {`"2026-07-29.dahlia"`, 200}, {`"2126-07-29.zinnia"`, 200},
		{`null`, 200}, {`""`, 422}, {`"basil"`, 422}, {`"basil.2026-07-29"`, 422}, {`"2026-7-29.dahlia"`, 422}, {`"2026-02-30.dahlia"`, 422}, {`20260729`, 422},
	} {
		for _, event := range []string{"purchase", "payment", "charge", "refund", "dispute"} {
			body := edit(t, loadPayload(t, stripe, event), `"api_version": "2026-07-29.dahlia"`, `"api_version": `+c.version)
			st := newStore()
			got := stripe.deliver(stripe.handler(t, st, nil), "e", body)
			if got != c.want || len(st.rejected) != map[int]int{422: 1}[c.want] || len(st.rows) != map[int]int{200: 1}[c.want] {
				t.Errorf("%s of version %s: got %d, rows %v, rejected %v, want %d", event, c.version, got, st.rows, st.rejected, c.want)
			}
			for _, r := range st.rejected {
				isDated := strings.HasPrefix(c.version, `"202`) && !strings.HasPrefix(c.version, `"2026`)
				if isDated && !(strings.Contains(r.reason, c.version) && strings.Contains(r.reason, "change the API version of the endpoint")) {
					t.Errorf("%s of version %s: got the reason %q, want the version and what to do", event, c.version, r.reason)
				}
			}
		}
	}
	body := edit(t, loadPayload(t, stripe, "refund"), `"api_version"`, `"x"`)
	if got := stripe.deliver(stripe.handler(t, newStore(), nil), "e", body); got != 200 {
		t.Errorf("no version: got %d, want 200", got)
	}
}

// Options.Owner receives the account of an event.
func TestOwnerOfAccount(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		var got webhook.Event
		o := &webhook.Options{Owner: func(_ context.Context, e webhook.Event) (string, error) {
			got = e
			return owner, nil
		}}
		s.checkDelivery(t, s.handler(t, newStore(), o), "purchase", 200)
		if want := map[string]string{"polar": organization, "dodo": business}[s.name]; got.Account != want || got.TestMode {
			t.Errorf("%s: got account %q, test mode %v, want %q", s.name, got.Account, got.TestMode, want)
		}
	}
}

// A missing account is refused with what is wanted.
func TestEmptyAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source webhook.Source
		want   string
	}{
		{webhook.Polar("", secret), "webhook: invalid source: polar: the first argument is empty, want the ID of the organization"},
		{webhook.Dodo("", secret), "webhook: invalid source: dodo: the first argument is empty, want the ID of the business"},
	} {
		if _, err := webhook.New(newStore(), c.source, catalog, products, nil); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// A secret in place of the account is refused, and neither the error nor the Source
// prints it.
func TestInvalidAccounts(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]webhook.Source{
		"a secret as the organization":      webhook.Polar(secret, other),
		"an old secret as the organization": webhook.Polar("polar_whs_0123456789abcdefABCDEF012", secret),
		"a secret as the business":          webhook.Dodo(secret[len("whsec_"):], secret[len("whsec_"):]),
		"the organization as its secret":    webhook.Polar(organization, organization),
	} {
		_, err := webhook.New(newStore(), source, catalog, products, nil)
		if err == nil || !strings.Contains(err.Error(), "first argument") {
			t.Errorf("%s: got %v, want an error about the first argument", name, err)
		}
		if printed := fmt.Sprintf("%+v %v", source, err); strings.Contains(printed, "AAEC") || strings.Contains(printed, "abcdef") {
			t.Errorf("%s: the secret is printed: %s", name, printed)
		}
	}
}
