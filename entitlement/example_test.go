package entitlement_test

import (
	"context"
	"encoding/json"
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

func ExampleParseCatalog() {
	catalog, err := entitlement.ParseCatalog([]byte(`{
		"free": {},
		"pro":  {"api_access": true, "max_keys": 5, "limits": {"per_minute": 60, "per_day": 10000}, "grace": "72h"}
	}`))
	if err != nil {
		panic(err)
	}
	pro, _ := catalog.Plan("pro")
	fmt.Println(pro.MaxKeys, pro.Limits.PerMinute, pro.Grace)

	_, err = entitlement.ParseCatalog([]byte(`{"pro": {"api_access": true, "max_keys": 0}}`))
	fmt.Println(err)
	// Output:
	// 5 60 72h0m0s
	// entitlement: invalid plan "pro": max_keys is 0: want a positive number, or a negative one for no limit
}

// One customer may have more keys than the plan allows. Everything else is as
// in the plan.
func ExampleOverride() {
	pro := entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:*"}}
	var more entitlement.Override
	if err := json.Unmarshal([]byte(`{"max_keys": 20}`), &more); err != nil {
		panic(err)
	}
	e := more.Apply(pro)
	fmt.Println(e.Plan, e.MaxKeys, e.Scopes)
	// Output: pro 20 [reports:*]
}

// The owner has cancelled the first subscription, which ends with January, and
// has bought a better one meanwhile. The trial of a lesser plan changes nothing.
func ExampleCatalog_Resolve() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"pro":  {APIAccess: true, Rank: 1, MaxKeys: 5},
		"team": {APIAccess: true, Rank: 2, MaxKeys: 50},
	})
	if err != nil {
		panic(err)
	}
	january := func(day int) time.Time { return time.Date(2027, 1, day, 0, 0, 0, 0, time.UTC) }
	subscriptions := []entitlement.Subscription{
		{Owner: "ann", ID: "sub_1", Plan: "pro", Status: entitlement.Active, StartedAt: january(1), PeriodEnd: january(31)},
		{Owner: "ann", ID: "sub_2", Plan: "team", Status: entitlement.Active, StartedAt: january(10), PeriodEnd: january(20)},
		{Owner: "ann", ID: "sub_3", Plan: "pro", Status: entitlement.Trialing, StartedAt: january(12), PeriodEnd: january(26)},
	}
	for _, day := range []int{9, 15, 25, 31} {
		known := subscriptions
		if day < 10 {
			known = known[:1]
		}
		e, err := catalog.Resolve(entitlement.Purchases{Subscriptions: known}, january(day))
		fmt.Println(day, e.Plan, e.APIAccess, err)
	}
	// Output:
	// 9 pro true <nil>
	// 15 team true <nil>
	// 25 pro true <nil>
	// 31 pro false <nil>
}

// Ann pays 20 dollars a month for pro. On 10 January she buys team for 50 dollars and
// gets the 20 dollars for pro back. Team goes on. On 20 January she disputes the payment
// for team, and on 25 January the service wins the dispute.
func ExampleReversal() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"pro":  {APIAccess: true, Rank: 1},
		"team": {APIAccess: true, Rank: 2},
	})
	if err != nil {
		panic(err)
	}
	january := func(day int) time.Time { return time.Date(2027, 1, day, 0, 0, 0, 0, time.UTC) }
	bought := entitlement.Purchases{
		Subscriptions: []entitlement.Subscription{
			{Owner: "ann", Source: "stripe", ID: "sub_1", Plan: "pro", Status: entitlement.Active, StartedAt: january(1), PeriodEnd: january(32)},
			{Owner: "ann", Source: "stripe", ID: "sub_2", Plan: "team", Status: entitlement.Active, StartedAt: january(10), PeriodEnd: january(41)},
		},
		Payments: []entitlement.Payment{
			{Source: "stripe", ID: "in_1", Subscription: "sub_1", Amount: 2000, Currency: "usd", PeriodStart: january(1), PeriodEnd: january(32)},
			{Source: "stripe", ID: "in_2", Subscription: "sub_2", Amount: 5000, Currency: "usd", PeriodStart: january(10), PeriodEnd: january(41)},
		},
	}
	refund := entitlement.Reversal{Source: "stripe", ID: "re_1", Kind: entitlement.Refund, Payment: "in_1", Amount: 2000, Currency: "usd"}
	dispute := entitlement.Reversal{Source: "stripe", ID: "dp_1", Kind: entitlement.Dispute, Payment: "in_2"}
	for _, day := range []int{10, 20, 25} {
		switch day {
		case 10:
			bought.Reversals = append(bought.Reversals, refund)
		case 20:
			bought.Reversals = append(bought.Reversals, dispute)
		case 25:
			bought.Reversals[1].Released = true
		}
		e, err := catalog.Resolve(bought, january(day))
		fmt.Println(day, e.Plan, e.APIAccess, err)
	}
	// Output:
	// 10 team true <nil>
	// 20 team false <nil>
	// 25 team true <nil>
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
