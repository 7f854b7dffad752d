package main

import (
	"context"
	"io"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

// openSQLite takes the path of a file, which it creates if it does not exist.
func openSQLite(ctx context.Context, path string) (store.Store, io.Closer, error) {
	st, err := sqlitestore.Open(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return st, st, nil
}
