package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A line reports that a call begins, or how it ended.
type line struct {
	Step   string
	Owner  string
	Mark   int64  `json:",omitempty"` // number of marks that the parent had written when the call began
	Call   *call  `json:",omitempty"` // the call that begins; nil if the owner's last call has ended
	Result string `json:",omitempty"`
	Reason string `json:",omitempty"` // reason of an outage
}

// A journal holds the lines of a writing process in order.
type journal []line

func (j journal) succeeded() (n int) {
	for _, l := range j {
		if l.Result == succeeded {
			n++
		}
	}
	return n
}

// An account is the part of the journal about one owner.
type account struct {
	calls  []call
	worlds []world // possible contents of the store; if open is set, those before the last call
	open   bool    // the last call failed or did not return, so it may have happened
	faults []string
}

// accounts reads the journal. If only the writer crashes, no call may fail.
func (j journal) accounts(mayFail bool) map[string]*account {
	accounts := map[string]*account{}
	for _, l := range j {
		a := accounts[l.Owner]
		if a == nil {
			a = &account{worlds: []world{{}}}
			accounts[l.Owner] = a
		}
		switch {
		case l.Call != nil:
			a.calls, a.open = append(a.calls, *l.Call), true
		case l.Result != outage:
			a.settle(l.Result)
		case !mayFail:
			a.fault("must not fail, since no server has crashed: %s", l.Reason)
		}
	}
	return accounts
}

func (a *account) last() call { return a.calls[len(a.calls)-1] }

func (a *account) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf("%+v ", a.last())+fmt.Sprintf(format, args...))
}

// settle keeps the worlds in which the last call has this result.
func (a *account) settle(result string) {
	var worlds []world
	for _, w := range a.worlds {
		if after, want := a.last().on(w); want == result {
			worlds = append(worlds, after)
		}
	}
	if len(worlds) == 0 {
		a.fault("must not return %q", result)
		return
	}
	a.worlds, a.open = worlds, false
}

// possible returns the worlds that the store may hold.
func (a *account) possible() []world {
	worlds := slices.Clone(a.worlds)
	if a.open {
		for _, w := range a.worlds {
			after, _ := a.last().on(w)
			worlds = append(worlds, after)
		}
	}
	return worlds
}

// fill inserts records until the limit of the owner's first call is reached. That
// detects a store whose count differs from its records.
func (a *account) fill(ctx context.Context, s store.Store) {
	first := a.calls[0]
	if first.Limit == 0 {
		return
	}
	a.worlds, a.open = a.possible(), false
	for n := range first.Limit + 1 {
		c := call{Op: "insert", ID: fmt.Sprint("fill", n), Limit: first.Limit}.of(first.Owner)
		a.calls, a.open = append(a.calls, c), true
		err := c.do(ctx, s)
		if resultOf(err) == outage {
			a.fault("must not fail, since no server has crashed: %v", err)
			continue
		}
		a.settle(resultOf(err))
	}
}

// compare compares the owner's records with those that the store may hold.
func (a *account) compare(ctx context.Context, s store.Store) (faults []string) {
	owner := a.calls[0].Owner
	found, err := listed(ctx, s, owner)
	if err != nil {
		return []string{fmt.Sprintf("the store cannot be read after a crash: %v", err)}
	}
	possible := a.possible()
	if !slices.ContainsFunc(possible, func(w world) bool { return maps.EqualFunc(w, found, same) }) {
		faults = append(faults, fmt.Sprintf("an acknowledged call must take effect in full, and any other call in full or not at all:\nafter %+v, the last one acknowledged: %v,\n got %+v\nwant one of %+v",
			a.calls, !a.open, found, possible))
	}
	for _, c := range a.calls {
		for _, id := range c.ids() {
			want, there := found[id]
			byID, err := s.Get(ctx, owner, id)
			byDigest, err2 := s.Lookup(ctx, digest(id))
			if there && (err != nil || err2 != nil || !same(byID, want) || !same(byDigest, want)) ||
				!there && (!errors.Is(err, store.ErrNotFound) || !errors.Is(err2, store.ErrNotFound)) {
				faults = append(faults, fmt.Sprintf("List, Get and Lookup do not agree on %s:\n got %+v\n and %+v, %v\n and %+v, %v", id, want, byID, err, byDigest, err2))
			}
		}
	}
	return faults
}

func listed(ctx context.Context, s store.Store, owner string) (world, error) {
	found := world{}
	for q := (store.Query{Owner: owner}); ; {
		page, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			found[r.ID] = r
		}
		if q.After = page.Next; q.After.IsZero() {
			return found, nil
		}
	}
}

// faults compares every account. A server may still execute the last call of a process
// that has died, so faults gives such accounts time.
func faults(ctx context.Context, s store.Store, accounts map[string]*account, patience time.Duration) (all []string) {
	late := time.Now().Add(patience)
	for _, owner := range slices.Sorted(maps.Keys(accounts)) {
		a := accounts[owner]
		found := a.compare(ctx, s)
		for len(found) > 0 && a.open && time.Now().Before(late) {
			time.Sleep(20 * time.Millisecond)
			found = a.compare(ctx, s)
		}
		all = append(append(all, a.faults...), found...)
	}
	return all
}

// interrupted counts the calls that failed or did not return.
func interrupted(accounts map[string]*account, into map[string]int) {
	for _, a := range accounts {
		if a.open {
			into[a.last().Op]++
		}
	}
}
