package apikey_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Invariant 2: when concurrent calls have disabled and enabled a key, the Manager agrees with
// the store.
func TestDisableDuringEnable(t *testing.T) {
	st := memstore.New()
	m := newManager(t, st, nil)
	key := create(t, m, "o")
	for round := range testkit.Trials(5_000, 500_000) {
		var calls sync.WaitGroup
		for _, disabled := range []bool{true, false} {
			calls.Go(func() {
				if _, err := m.Update(t.Context(), "o", key.Key.ID, apikey.UpdateParams{Disabled: &disabled}); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		r, err := st.Get(t.Context(), "o", key.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Validate(t.Context(), key.Secret.Reveal()); (err == nil) != r.DisabledAt.IsZero() {
			t.Fatalf("round %d: Validate = %v, and in the store DisabledAt is %v", round, err, r.DisabledAt)
		}
	}
}

// Invariant 2: a call disables a key and returns, and then a running call enables the key in the
// store. From then on the key is accepted, although the second call has not returned.
func TestDisableBeforeRunningEnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var updates atomic.Int64
		commit, finish := make(chan struct{}), make(chan struct{})
		st := &spyStore{Store: memstore.New()}
		st.before = func(op string) error {
			if op == "Update" && updates.Add(1) == 1 {
				<-commit
			}
			return nil
		}
		st.after = func(op string) {
			if op == "Update" && updates.Add(1) == 4 { // the first Update is the last to end
				<-finish
			}
		}
		m := newManager(t, st, nil)
		key := create(t, m, "o")
		update := func(disabled bool) {
			if _, err := m.Update(t.Context(), "o", key.Key.ID, apikey.UpdateParams{Disabled: &disabled}); err != nil {
				t.Error(err)
			}
		}
		go update(false)
		synctest.Wait()
		update(true)
		close(commit)
		synctest.Wait()
		wantValid(t, m, key)
		close(finish)
		synctest.Wait()
	})
}
