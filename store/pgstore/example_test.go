package pgstore_test

import (
	"context"
	"log"
	"os"

	"github.com/keyhatch/keyhatch/store/pgstore"
)

// The tables are in a schema of their own, which must be there already.
func ExampleOpen() {
	st, err := pgstore.Open(context.Background(), os.Getenv("DATABASE_URL"), &pgstore.Options{Schema: "keys"})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	// keys, err := apikey.New(st, nil)
}
