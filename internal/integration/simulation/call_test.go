package simulation_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

var quiet = slog.New(slog.DiscardHandler)

// An observation is a call and its result.
type observation struct {
	n          int
	i          *instance
	what       string
	about      knownToken // for a change of all of an owner's keys, only the owner
	start, end time.Duration
	outcome    string
}

func (o observation) String() string {
	return fmt.Sprintf("%4d %12v to %12v, instance %d: %s %s %s: %s", o.n, o.start, o.end, o.i.n, o.what, o.about.owner, o.about.id, o.outcome)
}

// outcomes lists the possible results of a call, the most specific first.
var outcomes = []struct {
	err  error
	name string
}{
	{apikey.ErrNotPropagated, "not propagated"}, {apikey.ErrUnavailable, "unavailable"},
	{apikey.ErrUnknown, "unknown"}, {apikey.ErrRevoked, "revoked"}, {apikey.ErrExpired, "expired"}, {apikey.ErrDisabled, "disabled"},
	{apikey.ErrNotEntitled, "not entitled"}, {apikey.ErrLimitReached, "limit reached"}, {apikey.ErrConflict, "conflict"},
	{apikey.ErrNotFound, "not found"}, {apikey.ErrLimited, "limited"}, {apikey.ErrDuplicate, "duplicate"},
}

func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			if o.name == "unavailable" && (errors.Is(err, apikey.ErrUnauthenticated) || errors.Is(err, apikey.ErrForbidden)) {
				return "both an outage and a refusal"
			}
			return o.name
		}
	}
	return err.Error()
}

// run runs all calls of a run and returns them in order.
func (w *world) run(t *testing.T, rng *rand.Rand) []observation {
	var running sync.WaitGroup
	for n := range w.steps {
		pause := w.pace
		if rng.IntN(2) == 0 {
			pause /= 20 // calls overlap
		}
		time.Sleep(w.unique(time.Duration(rng.Int64N(int64(pause)))))
		w.step(t, n, rng, &running)
	}
	running.Wait()
	// When all faults have ended, each instance learns the state of each key.
	n := w.steps
	time.Sleep(settling + 5*time.Second)
	for _, i := range w.instances {
		for _, k := range w.tokens {
			time.Sleep(w.unique(time.Millisecond))
			number := n
			running.Go(func() { w.do(number, i, "validate", k, w.validate(i, k.token)) })
			n++
		}
	}
	running.Wait()
	for _, i := range w.instances {
		time.Sleep(w.unique(time.Millisecond))
		if err := i.keys.Close(t.Context()); err != nil {
			t.Errorf("seed %d: Close: %v", w.seed, err)
		}
	}
	slices.SortFunc(w.records, func(a, b observation) int { return cmp.Compare(a.n, b.n) })
	return w.records
}

// do makes a call and records its result.
func (w *world) do(n int, i *instance, what string, about knownToken, call func(ctx context.Context) error) {
	o := observation{n: n, i: i, what: what, about: about, start: w.now()}
	w.note(i, "call ", n, " begins")
	err := call(context.WithValue(context.Background(), callKey{}, n))
	o.end, o.outcome = w.now(), outcomeOf(err)
	w.note(i, o, " ", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, o)
}

// step chooses a call and starts it.
func (w *world) step(t *testing.T, n int, rng *rand.Rand, running *sync.WaitGroup) {
	dice, owner := rng.IntN(100), fmt.Sprint("owner", rng.IntN(owners))
	w.mu.Lock()
	i := w.instances[rng.IntN(len(w.instances))]
	about := knownToken{owner: owner}
	if len(w.tokens) > 0 {
		about = w.pick(rng)
	}
	w.mu.Unlock()
	begin := func(what string, about knownToken, call func(context.Context) error) {
		running.Go(func() { w.do(n, i, what, about, call) })
	}
	ends := [...]time.Duration{0, 2 * time.Second, 10 * time.Second, time.Hour}[rng.IntN(4)]
	switch {
	case dice < 10 || about.id == "":
		begin("create", knownToken{owner: owner}, w.create(i, owner, ends))
	case dice < 14:
		begin("disable", about, w.disable(i, about, true))
	case dice < 18:
		begin("enable", about, w.disable(i, about, false))
	case dice < 22:
		begin("move expiry", about, w.moveExpiry(i, about, ends))
	case dice < 27:
		begin("revoke", about, w.revoke(i, about))
	case dice < 28:
		begin("revoke all", knownToken{owner: about.owner}, func(ctx context.Context) error {
			_, err := i.keys.RevokeAll(ctx, about.owner, "asked for")
			return err
		})
	case dice < 33:
		begin("rotate", about, w.rotate(i, about, ends))
	case dice < 36 && w.plans:
		w.changePlan(n, i, owner, rng.IntN(3) > 0, rng.IntN(2) == 0, running)
	case n%100 == 50:
		w.restart(t, i, rng.IntN(2) == 0, running)
	case dice < 40:
		stranger := knownToken{token: unknownToken(rng), owner: "nobody", id: "none"}
		begin("validate", stranger, w.validate(i, stranger.token))
	default:
		begin("validate", about, w.validate(i, about.token))
		if dice < 55 { // more calls with the same key, including a change
			w.burst(n, i, about, rng, running)
		}
	}
}

// burst validates a key around a change of it, so that the calls overlap.
func (w *world) burst(n int, i *instance, k knownToken, rng *rand.Rand, running *sync.WaitGroup) {
	change, name := w.disable(i, k, true), "disable"
	switch rng.IntN(3) {
	case 0:
		change, name = w.revoke(i, k), "revoke"
	case 1:
		change, name = w.rotate(i, k, 0), "rotate"
	}
	number := 10_000 + 100*n // the numbers of the burst's calls begin here
	at := rng.IntN(4)
	for j := range 12 {
		time.Sleep(w.unique(time.Duration(rng.Int64N(int64(40 * time.Millisecond)))))
		what, call := "validate", w.validate(i, k.token)
		if j == at {
			what, call = name, change
		}
		running.Go(func() { w.do(number+j, i, what, k, call) })
	}
}

// pick chooses a key: mostly the previous one, so that calls overlap, and rarely an ended one.
func (w *world) pick(rng *rand.Rand) knownToken {
	if rng.IntN(2) == 0 && w.last.id != "" && w.ledger.works(w.last.digest) {
		return w.last
	}
	for range 4 {
		w.last = w.tokens[rng.IntN(len(w.tokens))]
		if w.ledger.works(w.last.digest) {
			break
		}
	}
	return w.last
}

func (w *world) validate(i *instance, token string) func(context.Context) error {
	return func(ctx context.Context) error {
		p, err := i.keys.Validate(ctx, token)
		if err == nil && p == nil {
			return errors.New("neither a principal nor an error")
		}
		return err
	}
}

// learn records an issued token. From then on, a client has it.
func (w *world) learn(issued apikey.Issued) {
	if token := issued.Secret.Reveal(); token != "" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tokens = append(w.tokens, knownToken{token, issued.Key.Owner, issued.Key.ID, apikey.DigestOf(token)})
	}
}

func (w *world) create(i *instance, owner string, ends time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		p := apikey.CreateParams{Owner: owner, Name: "key", Scopes: []string{"read"}}
		if ends > 0 {
			p.ExpiresAt = time.Now().Add(ends)
		}
		issued, err := i.keys.Create(ctx, p)
		w.learn(issued)
		return err
	}
}

func (w *world) rotate(i *instance, k knownToken, grace time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		issued, err := i.keys.Rotate(ctx, k.owner, k.id, grace)
		w.learn(issued)
		if err == nil && !issued.Propagated {
			err = apikey.ErrNotPropagated
		}
		return err
	}
}

func (w *world) revoke(i *instance, k knownToken) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := i.keys.Revoke(ctx, k.owner, k.id, "asked for")
		return err
	}
}

func (w *world) disable(i *instance, k knownToken, to bool) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := i.keys.Update(ctx, k.owner, k.id, apikey.UpdateParams{Disabled: &to})
		return err
	}
}

func (w *world) moveExpiry(i *instance, k knownToken, ends time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		var at time.Time
		if ends > 0 {
			at = time.Now().Add(ends)
		}
		_, err := i.keys.Update(ctx, k.owner, k.id, apikey.UpdateParams{ExpiresAt: &at})
		return err
	}
}

// changePlan changes an owner's entitlement. If tell is set, it calls InvalidateOwner of an
// instance.
func (w *world) changePlan(n int, i *instance, owner string, to, tell bool, running *sync.WaitGroup) {
	w.plan.set(owner, w.now(), to)
	if tell {
		running.Go(func() {
			w.do(n, i, "plan changed", knownToken{owner: owner}, func(ctx context.Context) error { return i.keys.InvalidateOwner(ctx, owner) })
		})
	}
}

// restart ends an instance, with or without Close, and starts it again.
func (w *world) restart(t *testing.T, i *instance, killed bool, running *sync.WaitGroup) {
	w.restarts = append(w.restarts, w.now()) // Close ends the messages that are being sent
	if killed {
		close(i.dead)
		time.Sleep(w.unique(time.Millisecond))
	}
	running.Go(func() { _ = i.keys.Close(context.Background()) })
	time.Sleep(w.unique(time.Millisecond))
	next := w.start(t, i.n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances[slices.Index(w.instances, i)] = next
}
