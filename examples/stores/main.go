// The stores program creates a key in the given database, uses it, revokes it and uses it
// again. The function that opens each kind of database can be copied into a program:
//
//	go run ./examples/stores sqlite keys.db
//	go run ./examples/stores postgresql postgres://user:password@localhost/database
//	go run ./examples/stores mysql 'user:password@tcp(localhost:3306)/database'
//
// It does not drop the tables that it creates. In PostgreSQL and MySQL, their names begin
// with keyhatch_example. For SQLite, use a new file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
)

// table separates the example's keys from those of a real service, which may use the same
// database.
const table = "keyhatch_example"

// open maps each kind of database to the function that opens it.
var open = map[string]func(ctx context.Context, address string) (store.Store, io.Closer, error){
	"sqlite":     openSQLite,
	"postgresql": openPostgreSQL,
	"mysql":      openMySQL,
}

func main() {
	if len(os.Args) != 3 || open[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: stores sqlite|postgresql|mysql address")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, kind, address string) (err error) {
	st, db, err := open[kind](ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys, err := apikey.New(st, &apikey.Options{Prefix: "acme"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close(ctx)) }() // before db, since it writes last-used times
	return use(ctx, out, keys)
}

func use(ctx context.Context, out io.Writer, keys *apikey.Manager) error {
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "example"})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "created", issued.Key.Hint)
	p, err := keys.Validate(ctx, issued.Secret.Reveal())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "accepted, the owner is", p.Owner())
	if _, err := keys.Revoke(ctx, "user_1", issued.Key.ID, "end of the example"); err != nil {
		return err
	}
	fmt.Fprintln(out, "revoked")
	if _, err := keys.Validate(ctx, issued.Secret.Reveal()); !errors.Is(err, apikey.ErrRevoked) {
		return fmt.Errorf("a revoked key: got %w, want %w", err, apikey.ErrRevoked)
	}
	fmt.Fprintln(out, "refused")
	return nil
}
