package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

func main() {
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	issued, err := keys.Create(context.Background(), apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(issued.Secret.Reveal()) // shown once, stored nowhere

	http.Handle("GET /hello", keys.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := apikey.MustPrincipal(r.Context())
		fmt.Fprintf(w, "hello %s, this is your key %q\n", p.Owner(), p.Key().Name)
	})))
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
