package bench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// refusedCalls is the number of calls in a round.
const refusedCalls = 1 << 10

// BenchmarkRefused measures how fast tokens are refused, with a logger of the level info, as in a
// service. The program by hand has no checksum and does not cache unknown tokens, so it asks its
// store for each of them.
func BenchmarkRefused(b *testing.B) {
	t := newTable("Refused tokens, 1,000 keys. by hand = golang-lru by hand with an unknown token: hash, miss and store", "", "ns", "to SHA-256", "to by hand", "allocations")
	b.Run("all", func(b *testing.B) {
		st := memstore.New()
		opts := apikey.Options{
			MACKeys: [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 2)}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Entitlements: entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
				return entitlement.Entitlement{APIAccess: owner != "free"}, nil
			}),
		}
		m := newManager(b, st, 100_000, opts)
		tokens := create(m, 1_000)
		fill(m, tokens)
		opts.Entitlements = nil
		other := newManager(b, nowhere{}, 1_000, opts) // its tokens have a good MAC and are unknown
		fresh := create(other, 1)
		renew := func() { fresh = create(other, refusedCalls) }

		programs := []program{floor(tokens)}
		for _, c := range contenders {
			for _, ask := range []struct {
				name string
				ask  func(store.Digest) (*record, error)
			}{{"store", askStore(st)}, {"no store", refuse}} {
				validate := c.new(tokens, ask.ask)
				programs = append(programs, program{name: fmt.Sprintf("%s by hand: unknown, %s", c.name, ask.name), prepare: renew, call: func(i int) error {
					return wantRefusal(validate(fresh[i%len(fresh)]))
				}})
			}
		}
		programs = append(programs, keyhatch("keyhatch: valid, with a plan", m, tokens[:1]),
			program{name: "keyhatch: unknown, never seen", prepare: renew, call: func(i int) error {
				return wantRefusal(m.Validate(context.Background(), fresh[i%len(fresh)]))
			}})
		for _, r := range refusals(b, st, opts, m, other) {
			if _, err := m.Validate(b.Context(), r.token); !errors.Is(err, r.want) {
				b.Fatalf("%s: got %v, want %v", r.name, err, r.want)
			}
			programs = append(programs, program{name: "keyhatch: " + r.name, call: func(int) error {
				return wantRefusal(m.Validate(context.Background(), r.token))
			}})
		}

		times := inTurn(b, 1, refusedCalls, programs...)
		renew()
		for i, p := range programs {
			allocs, _ := allocated(refusedCalls-1, p.call)
			t.row(p.name, times[i], ratio(times[i]/times[0]), ratio(times[i]/times[1]), allocs)
			if p.prepare != nil {
				p.prepare()
			}
		}
	})
	t.print()
}

// wantRefusal returns an error if the token was accepted.
func wantRefusal[P any](_ P, err error) error {
	if err == nil {
		return errors.New("accepted")
	}
	return nil
}

// askStore returns the store call of the program by hand.
func askStore(st store.Store) func(store.Digest) (*record, error) {
	return func(d store.Digest) (*record, error) {
		r, err := st.Lookup(context.Background(), d)
		return recordOf(r), err
	}
}

// A refusal is a token that is refused without a call of the store.
type refusal struct {
	name, token string
	want        error
}

// refusals returns a token of each kind. The keys are in st, which m uses; other has the same
// MAC key and no store.
func refusals(b *testing.B, st store.Store, opts apikey.Options, m, other *apikey.Manager) []refusal {
	b.Helper()
	soon := time.Now().Add(50 * time.Millisecond)
	// Without plans, it creates a key for an owner without API access.
	withoutPlans := newManager(b, st, 1_000, opts)
	issue := func(p apikey.CreateParams) (string, apikey.Key) {
		p.Name = "key"
		issued := must(withoutPlans.Create(b.Context(), p))
		return issued.Secret.Reveal(), issued.Key
	}
	good, _ := issue(apikey.CreateParams{Owner: "o"})
	revoked, key := issue(apikey.CreateParams{Owner: "o"})
	must(m.Revoke(b.Context(), "o", key.ID, ""))
	disabled, key := issue(apikey.CreateParams{Owner: "o"})
	yes := true
	must(m.Update(b.Context(), "o", key.ID, apikey.UpdateParams{Disabled: &yes}))
	expired, _ := issue(apikey.CreateParams{Owner: "o", ExpiresAt: soon})
	free, _ := issue(apikey.CreateParams{Owner: "free"})
	forger := opts
	forger.MACKeys = [][]byte{bytes.Repeat([]byte("another key's 16"), 2)}
	time.Sleep(time.Until(soon))
	return []refusal{
		{"unknown, seen before", create(other, 1)[0], apikey.ErrUnknown},
		{"revoked", revoked, apikey.ErrRevoked},
		{"expired", expired, apikey.ErrExpired},
		{"disabled", disabled, apikey.ErrDisabled},
		{"not entitled", free, apikey.ErrNotEntitled},
		{"wrong checksum", good[:len(good)-2] + "00", apikey.ErrMalformed},
		{"forged MAC", create(newManager(b, nowhere{}, 1_000, forger), 1)[0], apikey.ErrMalformed},
		{"garbage: empty", "", apikey.ErrMalformed},
		{"garbage: a word", "garbage", apikey.ErrMalformed},
		{"garbage: another prefix", "yek_" + good[4:], apikey.ErrMalformed},
		{"garbage: not base62", good[:40] + "\xff" + good[41:], apikey.ErrMalformed},
		{"garbage: 100 kB", strings.Repeat("a", 100_000), apikey.ErrMalformed},
	}
}
