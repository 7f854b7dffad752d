package httpprovider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

// A billing service and a program that asks it, in one process.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of-the-billing-service" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch owner := r.URL.Query().Get("owner"); owner {
		case "ann":
			fmt.Fprint(w, `{"owner": "ann", "plan": "pro", "valid_until": "2999-12-31T00:00:00Z", "override": {"max_keys": 20}}`)
		default:
			json.NewEncoder(w).Encode(map[string]any{"owner": owner, "plan": nil})
		}
	}))
	defer service.Close()

	catalog, err := entitlement.ParseCatalog([]byte(`{"pro": {"api_access": true, "max_keys": 5}}`))
	if err != nil {
		panic(err)
	}
	plans, err := httpprovider.New(service.URL+"/plan", catalog, &httpprovider.Options{
		Header: http.Header{"Authorization": {"Bearer of-the-billing-service"}},
	})
	if err != nil {
		panic(err)
	}
	defer plans.Close()

	e, err := plans.Entitlement(context.Background(), "ann")
	fmt.Println(e.Plan, e.APIAccess, e.MaxKeys, err)
	_, err = plans.Entitlement(context.Background(), "bob")
	fmt.Println(errors.Is(err, entitlement.ErrNone))
	// Output:
	// pro true 20 <nil>
	// true
}

func ExampleNew() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true}})
	if err != nil {
		panic(err)
	}
	_, err = httpprovider.New("http://billing.internal/plan", catalog, nil)
	fmt.Println(err)
	// Output:
	// httpprovider: invalid address: must begin with https, since anyone on the network can read and change data sent over http; see Options.InsecureHTTP
}
