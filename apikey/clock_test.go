package apikey_test

import (
	"errors"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// M-17: Create refuses an expiry that has passed according to the clock of another instance. A
// clock that was far ahead does not prevent the rotation of a leaked key.
func TestExpiryBetweenTwoClocks(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	m := newManager(t, st, nil)
	leaked, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n", ExpiresAt: time.Now().AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	ahead := store.Record{ID: "key_ahead", Owner: "o", Name: "n", Hint: "h", Digest: store.Digest{1}, CreatedAt: time.Now().AddDate(10, 0, 0)}
	if err := st.Insert(t.Context(), ahead, -1); err != nil {
		t.Fatal(err)
	}
	_, err = m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n", ExpiresAt: time.Now().AddDate(5, 0, 0)})
	if invalid := (*apikey.InvalidError)(nil); !errors.As(err, &invalid) || invalid.Field != "ExpiresAt" {
		t.Errorf("Create of a key that is expired on another instance's clock: got %v, want an InvalidError of ExpiresAt", err)
	}
	if _, err := m.Rotate(t.Context(), "o", leaked.Key.ID, 0); err != nil {
		t.Errorf("Rotate without a grace period: %v", err)
	}
}
