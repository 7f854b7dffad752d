package apikey_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

func exampleManager() *apikey.Manager {
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme"})
	if err != nil {
		panic(err)
	}
	return keys
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleNew() {
	keys, err := apikey.New(memstore.New(), &apikey.Options{
		Prefix:       "acme_live",
		Entitlements: entitlement.Static(entitlement.Entitlement{APIAccess: true, MaxKeys: 2}),
		StaleIfError: 10 * time.Minute,
		OnEvent: func(_ context.Context, e apikey.Event) {
			fmt.Println(e.Kind, e.Owner)
		},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	defer keys.Close(ctx)
	must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))
	// Output: created user_1
}

func ExampleManager_Create() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{
		Owner:     "user_1",
		Name:      "ci",
		Scopes:    []string{"reports:read"},
		ExpiresAt: time.Now().AddDate(0, 0, 90),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(issued.Secret)               // safe to log by mistake
	fmt.Println(len(issued.Secret.Reveal())) // show it to the customer now
	// Output:
	// [redacted]
	// 41
}

func ExampleManager_Create_limit() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	var err error
	created := 0
	for ; err == nil; created++ {
		_, err = keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "another"})
	}
	fmt.Println(created-1, errors.Is(err, apikey.ErrLimitReached))

	_, err = keys.Create(ctx, apikey.CreateParams{Owner: "user_1"})
	var invalid *apikey.InvalidError
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Field, invalid.Reason)
	}
	// Output:
	// 5 true
	// Name must not be empty
}

func ExampleManager_Register() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	// The customer's client generates a token of the published form, keeps it, and
	// sends its digest and hint.
	token := "acme_K3yH4tchK3yH4tchK3yH4tchK3yH4t4ZIEdQ"
	key, err := keys.Register(ctx, apikey.RegisterParams{
		CreateParams: apikey.CreateParams{Owner: "user_1", Name: "laptop"},
		Digest:       sha256.Sum256([]byte(token)),
		Hint:         token[:9],
	})
	fmt.Println(key.Hint, err)
	p, err := keys.Validate(ctx, token)
	fmt.Println(p.Key().Name, err)
	// Output:
	// acme_K3yH <nil>
	// laptop <nil>
}

func ExampleManager_Validate() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci", Scopes: []string{"reports:*"}}))

	p, err := keys.Validate(ctx, issued.Secret.Reveal())
	switch {
	case errors.Is(err, apikey.ErrUnauthenticated):
		fmt.Println("not authenticated") // log err, but do not show it to the client
	case errors.Is(err, apikey.ErrForbidden):
		fmt.Println("the plan does not include this")
	case err != nil:
		fmt.Println("try again later")
	default:
		fmt.Println(p.Key().Owner, p.Allows("reports:read"), p.Allows("billing:read"))
	}
	// Output: user_1 true false
}

func ExampleManager_List() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	for _, name := range []string{"first", "second", "third"} {
		must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: name}))
		time.Sleep(time.Microsecond) // the list is sorted by creation time
	}
	for params := (apikey.ListParams{Owner: "user_1", Limit: 2}); ; {
		page := must(keys.List(ctx, params))
		for _, key := range page.Keys {
			fmt.Println(key.Name, key.Status(time.Now()))
		}
		if page.Next == "" {
			break
		}
		params.Cursor = page.Next
	}
	// Output:
	// third active
	// second active
	// first active
}

func ExampleManager_Get() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))
	key, err := keys.Get(ctx, "user_1", issued.Key.ID)
	fmt.Println(key.Name, err)
	_, err = keys.Get(ctx, "user_2", issued.Key.ID)
	fmt.Println(err)
	// Output:
	// ci <nil>
	// apikey: not found
}

func ExampleManager_Update() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))

	name, disabled := "build server", true
	key := must(keys.Update(ctx, "user_1", issued.Key.ID, apikey.UpdateParams{Name: &name, Disabled: &disabled}))
	fmt.Println(key.Name, key.Status(time.Now()))
	_, err := keys.Validate(ctx, issued.Secret.Reveal())
	fmt.Println(err)
	// Output:
	// build server disabled
	// apikey: unauthenticated: key is disabled
}

func ExampleManager_Rotate() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	old := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))

	issued := must(keys.Rotate(ctx, "user_1", old.Key.ID, 24*time.Hour))
	for _, secret := range []apikey.Secret{old.Secret, issued.Secret} {
		_, err := keys.Validate(ctx, secret.Reveal())
		fmt.Println(err)
	}
	_, err := keys.Rotate(ctx, "user_1", old.Key.ID, 0)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// apikey: conflict with the key's state
}

func ExampleManager_Revoke() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))

	must(keys.Revoke(ctx, "user_1", issued.Key.ID, "leaked"))
	key := must(keys.Revoke(ctx, "user_1", issued.Key.ID, "to be sure"))
	fmt.Println(key.Status(time.Now()), key.RevokeReason)
	_, err := keys.Validate(ctx, issued.Secret.Reveal())
	fmt.Println(errors.Is(err, apikey.ErrUnauthenticated))
	// Output:
	// revoked leaked
	// true
}

// After a restore, repeat the revocations that were made after the backup, as SECURITY.md
// recommends.
func ExampleManager_Revoke_afterARestore() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))

	in := bufio.NewScanner(strings.NewReader("user_1\t" + issued.Key.ID + "\nuser_1\tkey_that_is_lost\n"))
	for in.Scan() {
		owner, key, _ := strings.Cut(in.Text(), "\t")
		_, err := keys.Revoke(ctx, owner, key, "again, after a restore")
		if err != nil && !errors.Is(err, apikey.ErrNotFound) { // not found: the key was created after the backup
			fmt.Println(owner, key, err) // retry this key
		}
	}
	_, err := keys.Validate(ctx, issued.Secret.Reveal())
	fmt.Println(err)
	// Output: apikey: unauthenticated: key is revoked
}

func ExampleManager_RevokeAll() {
	ctx, keys := context.Background(), exampleManager()
	defer keys.Close(ctx)
	for _, name := range []string{"ci", "laptop"} {
		must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: name}))
	}
	n, err := keys.RevokeAll(ctx, "user_1", "account closed")
	fmt.Println(n, err)
	// Output: 2 <nil>
}

func ExamplePrincipal_Allows() {
	ctx := context.Background()
	keys := must(apikey.New(memstore.New(), &apikey.Options{
		Entitlements: entitlement.Static(entitlement.Entitlement{APIAccess: true, Scopes: []string{"reports:*"}}),
	}))
	defer keys.Close(ctx)
	issued := must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci", Scopes: []string{"*"}}))
	p := must(keys.Validate(ctx, issued.Secret.Reveal()))
	fmt.Println(p.Allows("reports:read")) // the key and the plan allow it
	fmt.Println(p.Allows("billing:read")) // the plan does not
	// Output:
	// true
	// false
}

func ExampleManager_InvalidateOwner() {
	plan := entitlement.Entitlement{Plan: "free"}
	keys := must(apikey.New(memstore.New(), &apikey.Options{
		Entitlements: entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) { return plan, nil }),
	}))
	ctx := context.Background()
	defer keys.Close(ctx)
	_, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	fmt.Println(err)

	plan = entitlement.Entitlement{Plan: "pro", APIAccess: true} // a purchase
	if err := keys.InvalidateOwner(ctx, "user_1"); err != nil {
		panic(err)
	}
	_, err = keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	fmt.Println(err)
	// Output:
	// apikey: forbidden: plan has no API access
	// <nil>
}

func ExampleManager_Usage() {
	pro := entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 2}
	keys := must(apikey.New(memstore.New(), &apikey.Options{Entitlements: entitlement.Static(pro)}))
	ctx := context.Background()
	defer keys.Close(ctx)
	must(keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"}))
	o := must(keys.Usage(ctx, "user_1"))
	fmt.Printf("%s: %d of %d keys, %d over, access: %v\n", o.Entitlement.Plan, o.Used, o.Entitlement.MaxKeys, o.Excess, o.Entitled)
	// Output: pro: 1 of 2 keys, 0 over, access: true
}
