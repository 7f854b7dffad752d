package simulation_test

import (
	"context"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A planBook records when each owner was entitled.
type planBook struct {
	mu      sync.Mutex
	history map[string][]entitled
}

type entitled struct {
	at  time.Duration
	yes bool
}

func newPlanBook() *planBook { return &planBook{history: map[string][]entitled{}} }

func (b *planBook) set(owner string, at time.Duration, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.history[owner] = append(b.history[owner], entitled{at, yes})
}

// within returns whether the owner was entitled at some time between from and to, and whether
// it was not.
func (b *planBook) within(owner string, from, to time.Duration) (yes, no bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := true
	for _, e := range b.history[owner] {
		if e.at > to {
			break
		}
		if e.at > from {
			yes, no = yes || was, no || !was
		}
		was = e.yes
	}
	return yes || was, no || !was
}

// A planView is one instance's access to the provider.
type planView struct {
	w *world
	i *instance
}

func (v *planView) entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	v.w.note(v.i, "asks for the plan of ", owner)
	switch {
	case v.i.isDead() || v.w.broken(v.i, planError):
		return entitlement.Entitlement{}, v.w.fail(ctx, "plan", v.i.n, owner)
	case v.w.broken(v.i, planHang):
		<-ctx.Done()
		return entitlement.Entitlement{}, ctx.Err()
	}
	if err := v.w.pause(ctx, 20*time.Millisecond, "plan", v.i.n, owner, v.w.now()); err != nil {
		return entitlement.Entitlement{}, err
	}
	yes, _ := v.w.plan.within(owner, v.w.now(), v.w.now())
	if err := v.w.pause(ctx, 20*time.Millisecond, "plan back", v.i.n, owner, v.w.now()); err != nil {
		return entitlement.Entitlement{}, err
	}
	v.i.answered(1, v.w.now())
	if !yes {
		return entitlement.Entitlement{}, entitlement.ErrNone
	}
	return entitlement.Entitlement{Plan: "pro", APIAccess: true}, nil
}
