package main

import (
	"context"
	"database/sql"
	"errors"
	"io"

	_ "github.com/go-sql-driver/mysql"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// openMySQL takes a data source name of github.com/go-sql-driver/mysql. A program that
// already has a *sql.DB begins with sqlstore.New.
func openMySQL(ctx context.Context, dsn string) (store.Store, io.Closer, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(16) // the default is unlimited
	db.SetMaxIdleConns(16)
	st, err := sqlstore.New(db, sqlstore.MySQL, &sqlstore.Options{Table: table})
	if err == nil {
		err = st.Migrate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return st, db, nil
}
