package apikey

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A Principal returns the key as it was stored, with each of the fields set or not.
func TestPrincipalHoldsTheWholeKey(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		return []string{"", "", "a", "\x00", "ключ", strings.Repeat("x", 127), strings.Repeat("\x00", 128), strings.Repeat("y", 300)}[r.IntN(8)]
	}
	at := func() time.Time {
		return []time.Time{{}, {}, time.Unix(0, 0).UTC(), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), now().Add(-time.Hour)}[r.IntN(6)]
	}
	for range 5_000 {
		want := store.Record{
			ID: "key_1", Owner: "o" + text(), Name: text(), Hint: text(), CreatedBy: text(), RevokeReason: text(), ReplacedBy: text(),
			CreatedAt: at(), ExpiresAt: at(), DisabledAt: at(), RevokedAt: latest, LastUsedAt: at(),
		}
		for range r.IntN(3) {
			want.Scopes = append(want.Scopes, text())
		}
		for range r.IntN(3) {
			if want.Metadata == nil {
				want.Metadata = map[string]string{}
			}
			want.Metadata[text()] = text()
		}
		p := newPrincipal(want, noPlan)
		if got := p.Key(); !reflect.DeepEqual(got, keyOf(want)) {
			t.Fatalf("got %+v, want %+v", got, keyOf(want))
		}
		if p.Owner() != want.Owner || p.KeyID() != want.ID {
			t.Fatalf("got %q and %q, want %q and %q", p.Owner(), p.KeyID(), want.Owner, want.ID)
		}
	}
	var nobody *Principal
	for _, p := range []*Principal{nobody, {}} {
		if got := p.Key(); !reflect.DeepEqual(got, Key{}) || p.Owner() != "" || p.KeyID() != "" || p.Allows("") || p.Entitlement().APIAccess {
			t.Errorf("a Principal without a key: got %+v", got)
		}
	}
}
