package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Run(m)) }

// The program prints the expected lines with each database.
func TestStores(t *testing.T) {
	addresses := map[string]func(testing.TB) string{"sqlite": newFile, "postgresql": testkit.UseSchema, "mysql": testkit.UseDatabase}
	if len(addresses) != len(open) {
		t.Errorf("kinds of databases in the test: got %d, want %d", len(addresses), len(open))
	}
	want := regexp.MustCompile(`^created acme_\w{4}\naccepted, the owner is user_1\nrevoked\nrefused\n$`)
	for kind, address := range addresses {
		t.Run(kind, func(t *testing.T) {
			to := address(t)
			for range 2 { // the tables already exist the second time
				var out bytes.Buffer
				if err := run(t.Context(), &out, kind, to); err != nil {
					t.Fatal(err)
				}
				if !want.Match(out.Bytes()) {
					t.Errorf("got %q, want %s", out.Bytes(), want)
				}
			}
		})
	}
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "keys.db") }
