package plans_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// putFromAProcess is the main function of a process that migrates the tables and puts the
// history of an owner.
func putFromAProcess(dsn string) int {
	if err := putHistory(context.Background(), dsn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func putHistory(ctx context.Context, dsn string) error {
	db, err := sql.Open(os.Getenv("KEYHATCH_DRIVER"), dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"free": {}, "pro": {}, "max": {}})
	if err != nil {
		return err
	}
	p, err := sqlprovider.New(db, sqlstore.Dialect(os.Getenv("KEYHATCH_DIALECT")), c, &sqlprovider.Options{Schema: testkit.GetParam(dsn, "search_path")})
	if err != nil {
		return err
	}
	if err := p.Migrate(ctx); err != nil {
		return err
	}
	for _, s := range replayed(history("ann")) {
		if _, err := putAny(ctx, p, s); err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesWriteTheSameTable(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		var running []*exec.Cmd
		for range testkit.Scale(2, 8) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "KEYHATCH_PUT="+dsn, "KEYHATCH_DRIVER="+d.driver, "KEYHATCH_DIALECT="+string(d.dialect))
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			running = append(running, cmd)
		}
		for _, cmd := range running {
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		checkNewest(t, newProvider(t, d, testkit.OpenDB(t, d.driver, dsn), nil), "ann")
	})
}
