package apikey_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Each route requires a scope.
func ExampleManager_Require() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci", Scopes: []string{"reports:read"}})
	if err != nil {
		log.Fatal(err)
	}

	reports := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "reports of", apikey.MustPrincipal(r.Context()).Key().Owner)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /reports", keys.Require("reports:read")(reports))
	mux.Handle("DELETE /reports", keys.Require("reports:write")(reports))

	ask := func(method, token string) {
		r := httptest.NewRequest(method, "/reports", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	ask("GET", issued.Secret.Reveal())
	ask("GET", "")
	ask("DELETE", issued.Secret.Reveal())
	// Output:
	// 200 reports of user_1
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthorized"}
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}
}

// ValidateRequest is for servers that cannot use a middleware. Here the scope
// depends on the request.
func ExampleManager_ValidateRequest() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), &apikey.Options{Headers: []string{"X-API-Key"}})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci", Scopes: []string{"project:7"}})
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest("GET", "/projects/7", nil)
	r.Header.Set("X-API-Key", issued.Secret.Reveal())
	p, err := keys.ValidateRequest(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Key().Owner, p.Key().Name)
	fmt.Println(p.Allows("project:7"), p.Allows("project:8"))

	r.Header.Add("X-API-Key", "another")
	_, err = keys.ValidateRequest(r)
	fmt.Println(err)
	// Output:
	// user_1 ci
	// true false
	// apikey: more than one credential
}

// A handler that serves requests with and without a key looks for the Principal.
func ExamplePrincipalFromContext() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		log.Fatal(err)
	}

	greet := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := apikey.PrincipalFromContext(r.Context()); ok {
			fmt.Println("hello", p.Key().Owner)
		} else {
			fmt.Println("hello stranger")
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/public", greet)
	mux.Handle("/api", keys.Require()(greet))

	for _, path := range []string{"/public", "/api"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+issued.Secret.Reveal())
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// hello stranger
	// hello user_1
}

// A handler that was mounted without Require panics at the first request, instead of
// serving everyone.
func ExampleMustPrincipal() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		log.Fatal(err)
	}

	whoAmI := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(apikey.MustPrincipal(r.Context()).Key().Owner)
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+issued.Secret.Reveal())
	keys.Require()(whoAmI).ServeHTTP(httptest.NewRecorder(), r)

	defer func() { fmt.Println(recover()) }()
	whoAmI.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// user_1
	// apikey: no Principal in the context: Require does not wrap the handler
}

// WriteError sends the response of a handler that validates the request itself.
func ExampleManager_WriteError() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), &apikey.Options{Realm: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /projects/{id}", func(w http.ResponseWriter, r *http.Request) {
		p, err := keys.ValidateRequest(r)
		if err == nil && !p.Allows("project:"+r.PathValue("id")) {
			err = apikey.ErrScope
		}
		if err != nil {
			keys.WriteError(w, r, err)
			return
		}
		fmt.Fprintln(w, "welcome")
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/projects/7", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Print(w.Body)
	// Output:
	// 401 Bearer realm="acme"
	// {"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthorized"}
}
