package selfservice_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// The page is mounted next to the other settings.
func ExampleNew() {
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)

	owner := func(r *http.Request) (string, error) {
		return "user_1", nil // the signed-in user, by your session
	}
	mux := http.NewServeMux()
	mux.Handle("/settings/api-keys/", selfservice.New(keys, owner, &selfservice.Options{
		BackURL: "/settings/",
		Scopes:  []selfservice.Scope{{Name: "reports:read", Description: "Read reports"}},
	}))

	r := httptest.NewRequest("GET", "/settings/api-keys/api/usage", nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 {"plan":"","entitled":true,"valid_until":null,"used":0,"limit":5,"above_limit":0,"scopes":[{"name":"reports:read","description":"Read reports"}],"refused":null,"client_prefix":"acme"}
}

// A translation may be incomplete. The other texts stay English.
func ExampleTexts() {
	german := map[string]string{
		"keys":       "Ihre Schlüssel",
		"create":     "Schlüssel erstellen",
		"never_used": "Nie benutzt",
	}
	for name := range selfservice.Texts() {
		if german[name] == "" && name == "revoke" {
			fmt.Println("not translated yet:", name)
		}
	}
	_ = selfservice.Options{Lang: "de", Title: "API-Schlüssel", Texts: german}
	// Output: not translated yet: revoke
}
