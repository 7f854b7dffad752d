// Command stores keeps a key in the database that you name, uses it, revokes
// it and uses it again. One file for each kind of database shows how a program
// opens it.
//
//	go run ./examples/stores sqlite keys.db
//	go run ./examples/stores postgresql postgres://user:password@localhost/database
//	go run ./examples/stores mysql 'user:password@tcp(localhost:3306)/database'
//
// The tables that it makes stay. In PostgreSQL and MySQL they are called
// keyhatch_example_…; give SQLite a new file.
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

// table keeps the example's keys apart from those of a real service, where
// others than the example may use the database.
const table = "keyhatch_example"

// open has a function for each kind of database.
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
	if _, err := keys.Revoke(ctx, "user_1", issued.Key.ID, "example over"); err != nil {
		return err
	}
	fmt.Fprintln(out, "revoked")
	if _, err := keys.Validate(ctx, issued.Secret.Reveal()); !errors.Is(err, apikey.ErrRevoked) {
		return fmt.Errorf("a revoked key: got %w, want %w", err, apikey.ErrRevoked)
	}
	fmt.Fprintln(out, "refused")
	return nil
}
