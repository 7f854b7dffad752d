package pgstore_test

import (
	"context"
	"log"
	"os"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

func ExampleOpen() {
	ctx := context.Background()
	st, err := pgstore.Open(ctx, os.Getenv("DATABASE_URL"), &pgstore.Options{Schema: "keys", MaxConns: 20})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	keys, err := apikey.New(st, &apikey.Options{Prefix: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)
}
