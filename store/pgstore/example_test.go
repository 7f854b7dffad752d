package pgstore_test

import (
	"context"
	"log"
	"os"

	"github.com/keyhatch/keyhatch/store/pgstore"
)

// The tables are in a schema of their own, which must exist.
func ExampleOpen() {
	st, err := pgstore.Open(context.Background(), os.Getenv("DATABASE_URL"), &pgstore.Options{Schema: "keys"})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	// keys, err := apikey.New(st, nil)
}

// The listener bypasses the pooler that all other calls use.
func ExampleStore_Bus() {
	ctx := context.Background()
	st, err := pgstore.Open(ctx, os.Getenv("POOLER_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	bus, err := st.Bus(ctx, &pgstore.BusOptions{DSN: os.Getenv("DATABASE_URL")})
	if err != nil {
		log.Fatal(err)
	}
	_ = bus
	// keys, err := apikey.New(st, &apikey.Options{Bus: bus})
}
