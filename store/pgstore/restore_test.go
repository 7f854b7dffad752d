package pgstore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// invariant 1: a backup of PostgreSQL from before a revocation is
// restored. The process that revoked the key still refuses it, and reports the
// restore at its first look-up.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	server := testkit.StartPostgreSQL(t)
	dsn := server.DSN()
	folder := query(t, dsn, "SHOW data_directory")
	var undone atomic.Int64
	keys, err := apikey.New(open(t, dsn, nil), &apikey.Options{OnEvent: func(_ context.Context, e apikey.Event) {
		if e.Kind == apikey.EventUndone {
			undone.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close(context.Background()) })
	key, err := keys.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "k"})
	if err != nil {
		t.Fatal(err)
	}

	backup := t.TempDir()
	server.Kill()
	copyFolder(t, folder, backup)
	server.Start()
	untilAvailable(t, func() error {
		_, err := keys.Revoke(t.Context(), "o", key.Key.ID, "leaked")
		return err
	})
	server.Kill()
	if err := emptyFolder(folder); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, backup, folder)
	server.Start()

	s := open(t, dsn, nil)
	if r, err := s.Get(t.Context(), "o", key.Key.ID); err != nil || !r.RevokedAt.IsZero() {
		t.Fatalf("got %+v, %v from the backup, want the key as before its revocation", r, err)
	}
	untilAvailable(t, func() error {
		_, err := keys.Validate(t.Context(), key.Secret.Reveal())
		if err == nil {
			t.Fatal("the revoked key works after a restore")
		}
		if errors.Is(err, apikey.ErrRevoked) {
			return nil
		}
		return err
	})
	if n := undone.Load(); n != 1 {
		t.Errorf("got %d events, want one", n)
	}
}

// untilAvailable repeats do until it returns anything but an outage.
func untilAvailable(t *testing.T, do func() error) {
	t.Helper()
	testkit.Await(t, "the server is available", func() bool {
		err := do()
		if err != nil && !errors.Is(err, apikey.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// copyFolder copies a folder with owners and modes, which the server requires.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

func emptyFolder(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(folder+"/"+e.Name()))
	}
	return err
}
