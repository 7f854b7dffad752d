package webhook_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

func ExampleNew() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"pro": {APIAccess: true, MaxKeys: 5, Grace: 72 * time.Hour},
	})
	if err != nil {
		log.Fatal(err)
	}
	st := newStore() // in a real program: sqlprovider.New
	events, err := webhook.New(st, webhook.Stripe("whsec_KhExampleKhExampleKhExampleKh12"), catalog,
		map[string]string{"price_1Qpro": "pro", "prod_mug": ""},
		&webhook.Options{
			Changed: func(context.Context, string) error { return nil }, // in a real program: keys.InvalidateOwner
		})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/billing/events", events)

	// A request without a valid signature is refused.
	r := httptest.NewRequest("POST", "/billing/events", strings.NewReader(`{"type": "customer.subscription.created"}`))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 401
}

func ExampleNew_unknownPlan() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = webhook.New(newStore(), webhook.Stripe("whsec_KhExampleKhExampleKhExampleKh12"), catalog,
		map[string]string{"price_1Qpro": "Pro"}, nil)
	fmt.Println(err)
	// Output: webhook: invalid product "price_1Qpro": entitlement: unknown plan: "Pro"
}

// While a secret is replaced, both the new and the old one work.
func ExampleDodo() {
	source := webhook.Dodo("bus_KhExample",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", // the new one
		"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", // the old one, until Dodo no longer uses it
	)
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = webhook.New(newStore(), source, catalog, map[string]string{"pdt_pro": "pro"}, nil)
	fmt.Println(err)
	// Output: <nil>
}

// An API key is not the signing secret of an endpoint.
func ExampleStripe() {
	_, err := webhook.New(newStore(), webhook.Stripe("sk_live_not-a-webhook-secret"), nil, nil, nil)
	fmt.Println(err)
	// Output: webhook: invalid source: stripe: secret 1 of 1: it does not begin with "whsec_"
}

// A refund that is a courtesy takes no access away.
func ExampleOptions_ignore() {
	opts := &webhook.Options{Ignore: func(_ context.Context, e webhook.Event) (bool, error) {
		return e.Metadata["courtesy"] == "yes", nil
	}}
	refund := webhook.Event{Type: "refund.created", Metadata: map[string]string{"courtesy": "yes"}}
	ignored, err := opts.Ignore(context.Background(), refund)
	fmt.Println(ignored, err)
	// Output: true <nil>
}
