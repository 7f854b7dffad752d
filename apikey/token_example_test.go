package apikey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Tokens of an earlier system keep working after their digests are imported. LegacyFormats
// match these tokens.
func ExampleDigestOf() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), &apikey.Options{
		LegacyFormats: []*regexp.Regexp{regexp.MustCompile(`old-[0-9a-f]{32}`)},
	})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)

	const token = "old-5f2b8c1d9e3a47f6b0c4d8e2a1f39b57"
	if _, err := keys.Register(ctx, apikey.RegisterParams{
		CreateParams: apikey.CreateParams{Owner: "user_1", Name: "imported"},
		Digest:       apikey.DigestOf(token),
		Hint:         "old-5f2b",
	}); err != nil {
		panic(err)
	}

	p, err := keys.Validate(ctx, token)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Key().Owner, p.Key().Hint)
	// Output: user_1 old-5f2b
}

// Use the pattern to find leaked tokens, for example with GitHub's secret scanning or in a
// pre-commit hook.
func ExampleManager_Pattern() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme_live"})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		panic(err)
	}

	fmt.Println(keys.Pattern())
	config := "api_key = " + issued.Secret.Reveal() + "\n"
	found := regexp.MustCompile(keys.Pattern()).FindString(config)
	fmt.Println(found == issued.Secret.Reveal())
	// Output:
	// \bacme_live_[0-9A-Za-z]{36,255}\b
	// true
}

// A Secret that is logged or encoded by mistake shows nothing. Only Reveal returns the token.
func ExampleSecret() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), nil)
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		panic(err)
	}

	fmt.Printf("%v %+v %q\n", issued.Secret, issued.Secret, issued.Secret)
	b, err := json.Marshal(issued.Secret)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(b))
	fmt.Println(len(issued.Secret.Reveal()), "characters")
	// Output:
	// [redacted] [redacted] [redacted]
	// "[redacted]"
	// 40 characters
}
