package main

import (
	"context"
	"io"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// openPostgreSQL takes a connection string of libpq, as a URL or as keywords. The pool
// detects PgBouncer by itself.
func openPostgreSQL(ctx context.Context, dsn string) (store.Store, io.Closer, error) {
	st, err := pgstore.Open(ctx, dsn, &pgstore.Options{Table: table})
	if err != nil {
		return nil, nil, err
	}
	return st, st, nil
}
