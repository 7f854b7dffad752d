package entitlement_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

func ExampleCatalog() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"free": {},
		"pro":  {APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}},
	})
	if err != nil {
		panic(err)
	}
	plans := map[string]string{"ann": "pro", "bob": "free"} // the host's own table
	provider := catalog.Provider(func(_ context.Context, owner string) (string, error) {
		return plans[owner], nil
	})
	for _, owner := range []string{"ann", "bob", "eve"} {
		e, err := provider.Entitlement(context.Background(), owner)
		fmt.Println(owner, e.Plan, e.APIAccess, errors.Is(err, entitlement.ErrNone))
	}
	// Output:
	// ann pro true false
	// bob free false false
	// eve  false true
}

func ExampleStatic() {
	provider := entitlement.Static(entitlement.Entitlement{APIAccess: true, MaxKeys: 20})
	e, _ := provider.Entitlement(context.Background(), "ann")
	fmt.Println(e.Active(time.Now()), e.MaxKeys)
	// Output: true 20
}

func ExampleProviderFunc() {
	var paidUntil = map[string]time.Time{"ann": time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}
	provider := entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
		until, ok := paidUntil[owner]
		if !ok {
			return entitlement.Entitlement{}, entitlement.ErrNone
		}
		return entitlement.Entitlement{APIAccess: true, ValidUntil: until}, nil
	})
	e, _ := provider.Entitlement(context.Background(), "ann")
	fmt.Println(e.Active(time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC)))
	fmt.Println(e.Active(time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)))
	// Output:
	// true
	// false
}

func ExampleGrants() {
	fmt.Println(entitlement.Grants([]string{"reports:*"}, "reports:read"))
	fmt.Println(entitlement.Grants([]string{"reports:*"}, "billing:read"))
	// Output:
	// true
	// false
}
