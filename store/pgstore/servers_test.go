package pgstore_test

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Run(m)) }

// patience bounds what takes a second or two on an idle machine.
const patience = 10 * time.Second

// tryConnect returns an error if the server refuses a connection.
func tryConnect(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// logInAs returns the data source name of the same server for another user and database.
func logInAs(dsn, userinfo, database, parameter string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	name, password, _ := strings.Cut(userinfo, ":")
	u.User = url.User(name)
	if password != "" {
		u.User = url.UserPassword(name, password)
	}
	u.Path = "/" + database
	query := u.Query()
	key, value, found := strings.Cut(parameter, "=")
	if found {
		query.Set(key, value)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func user(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return u.User.Username()
}

func addParam(dsn, parameter string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + parameter
	}
	return dsn + "?" + parameter
}
