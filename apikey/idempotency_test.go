package apikey_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// M-07: of many Create calls with one idempotency key, in several processes, one
// creates a key. The others return it, even if the owner is then at the limit.
func TestIdempotencyKeyMakesOneKey(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	instances := []*apikey.Manager{newManager(t, st, nil), newManager(t, st, nil)}
	for range 4 {
		create(t, instances[0], "ann")
	}
	p := apikey.CreateParams{Owner: "ann", Name: "ci", IdempotencyKey: "try-1"}
	results := make([]apikey.Issued, 40)
	errs := make([]error, len(results))
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			// After ErrLimited nothing was written.
			for errs[i] = apikey.ErrLimited; errors.Is(errs[i], apikey.ErrLimited); runtime.Gosched() {
				results[i], errs[i] = instances[i%2].Create(t.Context(), p)
			}
		})
	}
	wg.Wait()
	made := 0
	for i, r := range results {
		if r.Key.ID != results[0].Key.ID || r.Key.Name != "ci" {
			t.Errorf("got the key %+v, want the same key each time", r.Key)
		}
		switch token := r.Secret.Reveal(); {
		case errs[i] == nil && token != "":
			made++
		case !errors.Is(errs[i], apikey.ErrDuplicate) || token != "":
			t.Errorf("got %v, token returned = %t, want ErrDuplicate without a token", errs[i], token != "")
		}
	}
	if made != 1 {
		t.Errorf("created keys: got %d, want 1", made)
	}
	p.Owner = "bob"
	if bob, err := instances[0].Create(t.Context(), p); err != nil || bob.Key.ID == results[0].Key.ID {
		t.Errorf("same idempotency key of another owner: got %+v, %v, want a new key", bob.Key, err)
	}
	p.Owner, p.IdempotencyKey = "ann", "try-2"
	if _, err := instances[0].Create(t.Context(), p); !errors.Is(err, apikey.ErrLimitReached) {
		t.Errorf("another idempotency key: got %v, want ErrLimitReached", err)
	}
}

func TestIdempotencyKeyOfRegister(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	p := apikey.RegisterParams{
		CreateParams: apikey.CreateParams{Owner: "ann", Name: "ci", IdempotencyKey: "try-1"},
		Digest:       apikey.DigestOf("one"), Hint: "key_0aaa",
	}
	first, err := m.Register(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Register(t.Context(), p); err != nil || again.ID != first.ID {
		t.Errorf("the same call again: got %+v, %v, want the first key", again, err)
	}
	other := p
	other.Digest = apikey.DigestOf("two")
	if again, err := m.Register(t.Context(), other); !errors.Is(err, apikey.ErrDuplicate) || again.ID != first.ID {
		t.Errorf("another digest: got %+v, %v, want ErrDuplicate and the first key", again, err)
	}
	other = p
	other.Scopes = []string{"more"}
	if again, err := m.Register(t.Context(), other); !errors.Is(err, apikey.ErrDuplicate) || again.ID != first.ID {
		t.Errorf("other scopes: got %+v, %v, want ErrDuplicate and the first key", again, err)
	}
	other = p
	other.IdempotencyKey = "try-2"
	if again, err := m.Register(t.Context(), other); !errors.Is(err, apikey.ErrDuplicate) || again.ID != "" {
		t.Errorf("another owner's digest: got %+v, %v, want ErrDuplicate without a key", again, err)
	}
	if _, err := m.Revoke(t.Context(), "ann", first.ID, ""); err != nil {
		t.Fatal(err)
	}
	if again, err := m.Register(t.Context(), p); !errors.Is(err, apikey.ErrDuplicate) || again.ID != first.ID {
		t.Errorf("after a revocation: got %+v, %v, want ErrDuplicate and the first key", again, err)
	}
	for _, bad := range []string{strings.Repeat("x", 256), "a\nb", "\xff"} {
		p.IdempotencyKey = bad
		if _, err := m.Register(t.Context(), p); !errors.As(err, new(*apikey.InvalidError)) {
			t.Errorf("%q: got %v, want an InvalidError", bad, err)
		}
	}
}

func TestClientPrefix(t *testing.T) {
	t.Parallel()
	if prefix, ok := newManager(t, memstore.New(), &apikey.Options{Prefix: "acme_live"}).ClientPrefix(); prefix != "acme_live" || !ok {
		t.Errorf("prefix: got %q, %t", prefix, ok)
	}
	withMAC := newManager(t, memstore.New(), &apikey.Options{MACKeys: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}})
	if _, ok := withMAC.ClientPrefix(); ok {
		t.Error("with MAC keys: got true, want false, since a client cannot generate tokens")
	}
}
