package databases_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// revokeAllRole revokes all keys of the owner on the line.
func revokeAllRole(ctx context.Context, s *sqlstore.Store, owner string) (string, error) {
	m, err := apikey.New(s, nil)
	if err != nil {
		return "", err
	}
	n, _, err := revokeAll(ctx, m, owner)
	return fmt.Sprint(n), err
}

// revokeAll repeats RevokeAll while a batch exceeds the call timeout.
func revokeAll(ctx context.Context, m *apikey.Manager, owner string) (n, calls int, err error) {
	for calls = 1; ; calls++ {
		more, err := m.RevokeAll(ctx, owner, "closed")
		n += more
		if !errors.Is(err, apikey.ErrUnavailable) || calls == 100 {
			return n, calls, err
		}
	}
}

// RevokeAll can revoke a million keys. If its process is killed, whole batches are
// revoked, and another call revokes the other keys.
func TestRevokeAllIsResumed(t *testing.T) {
	n := testkit.Scale(4*store.RevokeBatch, 1_000_000)
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			if !testkit.Soak() { // otherwise other tests run in parallel
				t.Parallel()
			}
			dsn := d.dsn(t)
			db := testkit.OpenDB(t, d.driver, dsn)
			s := sqlStore(t, d.dialect, db)
			fillOwner(t, db, d.dialect, "o", 0, n)
			revoked := func() int {
				return testkit.QueryValue[int](t, db, "SELECT count(*) FROM keyhatch_keys WHERE revoked_at IS NOT NULL")
			}

			p := start(t, "revoke all", d.driver, d.dialect, dsn)
			p.send(t, "o")
			for revocations(t, s).Count < int64(n/10) {
				time.Sleep(time.Millisecond)
			}
			p.kill()
			seen := revoked() // a commit may still be running
			m, err := apikey.New(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close(t.Context())
			began := time.Now()
			more, calls, err := revokeAll(t.Context(), m, "o")
			took := time.Since(began)
			if err != nil {
				t.Fatal(err)
			}
			before := n - more
			if seen%store.RevokeBatch != 0 || before != seen && before != seen+store.RevokeBatch {
				t.Errorf("keys that the killed process revoked: got %d and then %d, want whole batches of %d", seen, before, store.RevokeBatch)
			}
			if now := revoked(); now != n {
				t.Errorf("RevokeAll returned nil, but %d of %d keys are revoked", now, n)
			}
			if c := revocations(t, s).Count; c != int64(n) {
				t.Errorf("count of revocations: got %d, want %d", c, n)
			}
			t.Logf("%d of %d keys were revoked before the kill; %d more in %v and %d calls, %.0f per second",
				before, n, more, took.Round(time.Millisecond), calls, perSecond(more, took))
		})
	}
}
