package limit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/limit"
)

// An owner may make three requests in any ten seconds.
func ExampleLocal() {
	limiter, err := limit.NewLocal(nil)
	if err != nil {
		panic(err)
	}
	rules := []limit.Rule{{Name: "burst", Units: 3, Window: 10 * time.Second}}
	if err := limit.Check(rules); err != nil {
		panic(err)
	}
	for range 4 {
		d, err := limiter.Take(context.Background(), "user_1", rules, 1)
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Second))
	}
	// Output:
	// true 2 0s
	// true 1 0s
	// true 0 0s
	// false 0 10s
}
