package plans_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// reportedAt returns a Report of the source "stripe" at noon plus so many minutes.
func reportedAt(minutes int, part any) entitlement.Report {
	at := noon.Add(time.Duration(minutes) * time.Minute)
	r := entitlement.Report{Source: "stripe", Event: fmt.Sprint("evt_", minutes)}
	switch part := part.(type) {
	case entitlement.Subscription:
		part.UpdatedAt = at
		r.Subscription = &part
	case entitlement.Payment:
		part.UpdatedAt = at
		r.Payment = &part
	case entitlement.Charge:
		part.UpdatedAt = at
		r.Charge = &part
	case entitlement.Reversal:
		part.UpdatedAt = at
		r.Reversal = &part
	default:
		panic(fmt.Sprintf("unknown part %T", part))
	}
	return r
}

func sold(owner, id, plan string) entitlement.Subscription {
	return entitlement.Subscription{Owner: owner, ID: id, Plan: plan, Status: entitlement.Active, StartedAt: noon, PeriodStart: noon}
}

// E-03: Apply reports whether what a part belongs to is stored.
func TestIncomplete(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		refund := entitlement.Reversal{ID: "re_1", Kind: entitlement.Refund, Charge: "pi_1", Whole: true}
		charge := entitlement.Charge{ID: "pi_1", Payment: "in_1"}
		ended := sold("", "sub_2", "")
		ended.Status = entitlement.Ended
		for i, step := range []struct {
			part any
			want bool
		}{
			{refund, true}, {charge, true}, {refund, true}, {paid("in_1", "sub_1"), true}, {refund, true},
			{sold("ann", "sub_1", "pro"), false}, {refund, false}, {charge, false}, {paid("in_1", "sub_1"), false},
			{ended, false}, {paid("in_2", "sub_2"), false}, {paid("in_3", "sub_3"), true},
		} {
			got, err := p.Apply(t.Context(), reportedAt(i, step.part))
			if err != nil || got.Incomplete != step.want {
				t.Errorf("step %d, %+v: got %+v, %v, want Incomplete = %t", i, step.part, got, err, step.want)
			}
		}
	})
}

// paid returns a payment of 10 dollars for the subscription, from noon on.
func paid(id, subscription string) entitlement.Payment {
	return entitlement.Payment{ID: id, Subscription: subscription, Amount: 1000, Currency: "usd", PeriodStart: noon, PeriodEnd: noon.AddDate(900, 0, 0)}
}

func refunded(id, charge string, amount int64) entitlement.Reversal {
	return entitlement.Reversal{ID: id, Kind: entitlement.Refund, Charge: charge, Amount: amount, Currency: "usd"}
}

// startWatched returns a Provider on an empty database, and what its Watch reports after
// the gap at the start.
func startWatched(t *testing.T, d database) (*sqlprovider.Provider, <-chan string) {
	t.Helper()
	p, _ := d.start(t)
	told := watch(t, p)
	wantTold(t, told, "")
	return p, told
}

func apply(t testing.TB, p *sqlprovider.Provider, r entitlement.Report) entitlement.Applied {
	t.Helper()
	applied, err := p.Apply(t.Context(), r)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return applied
}

// checkAccess fails unless the owner has the plan; "" means no access.
func checkAccess(t *testing.T, p *sqlprovider.Provider, owner, plan string) {
	t.Helper()
	e, err := p.Entitlement(t.Context(), owner)
	if errors.Is(err, entitlement.ErrNone) {
		e, err = entitlement.Entitlement{}, nil
	}
	if err != nil || e.APIAccess != (plan != "") || plan != "" && e.Plan != plan {
		t.Errorf("owner %s: got %+v, %v, want plan %q", owner, e, err, plan)
	}
}

// E-03: a refund ends what its payment paid for, and nothing else. The reports of it may
// arrive in any order and repeatedly.
func TestRefundEndsWhatItPaidFor(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		for round := range testkit.Scale(30, 1000) {
			n := func(s string) string { return fmt.Sprint(s, "_", round) }
			ann, one, two := n("ann"), n("sub_1"), n("sub_2")
			undone := refunded(n("re_2"), n("pi_2"), 600)
			undone.Released = true
			all := []entitlement.Report{
				reportedAt(5, undone), // an older state
				reportedAt(1, sold(ann, one, "pro")), reportedAt(2, sold(ann, two, "pro")),
				reportedAt(3, paid(n("in_1"), one)), reportedAt(4, paid(n("in_2"), two)),
				reportedAt(5, entitlement.Charge{ID: n("pi_1"), Payment: n("in_1")}),
				reportedAt(6, entitlement.Charge{ID: n("pi_2"), Payment: n("in_2")}),
				reportedAt(7, refunded(n("re_1"), n("pi_2"), 400)), reportedAt(8, refunded(n("re_2"), n("pi_2"), 600)),
			}
			all = append(all, all...)
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, r := range all {
				apply(t, p, r)
			}
			checkAccess(t, p, ann, "pro") // by the other purchase
			ended := sold(ann, one, "pro")
			ended.Status = entitlement.Ended
			if got := apply(t, p, reportedAt(9, ended)); !reflect.DeepEqual(got, entitlement.Applied{Owners: []string{ann}, Changed: true}) {
				t.Errorf("got %+v, want the owner %s and a change", got, ann)
			}
			checkAccess(t, p, ann, "")
			if got := apply(t, p, reportedAt(10, undone)); !slices.Equal(got.Owners, []string{ann}) {
				t.Errorf("got %+v, want the owner %s of the refunded subscription", got, ann)
			}
			checkAccess(t, p, ann, "pro") // 600 of 1,000 are paid again
			apply(t, p, reportedAt(11, entitlement.Reversal{ID: n("dp_1"), Kind: entitlement.Dispute, Charge: n("pi_2")}))
			checkAccess(t, p, ann, "")
			apply(t, p, reportedAt(12, entitlement.Reversal{ID: n("dp_1"), Kind: entitlement.Dispute, Charge: n("pi_2"), Released: true}))
			checkAccess(t, p, ann, "pro")
		}
	})
}

// E-02: a subscription has one owner at a time.
func TestOneOwnerAtATime(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, told := startWatched(t, d)
		one := sold("alice", "sub_1", "pro")
		one.Customer = "cus_1"
		apply(t, p, reportedAt(1, one))
		wantTold(t, told, "alice")
		bob := one
		bob.Owner = "bob"
		checkContradiction(t, p, reportedAt(2, bob), "Owner")
		checkAccess(t, p, "alice", "pro")
		checkAccess(t, p, "bob", "")

		if previous, err := p.SetOwner(t.Context(), "stripe", "sub_1", "bob"); previous != "alice" || err != nil {
			t.Fatalf("SetOwner: got %q, %v, want the previous owner alice", previous, err)
		}
		checkAccess(t, p, "alice", "")
		checkAccess(t, p, "bob", "pro")
		if both := []string{<-told, <-told}; !slices.Contains(both, "alice") || !slices.Contains(both, "bob") {
			t.Errorf("Watch: got %q, want both owners", both)
		}
		both := reportedAt(4, bob) // bob by metadata that was changed, and alice by metadata that was not
		both.Owners = []string{"alice"}
		for _, r := range []entitlement.Report{reportedAt(3, one), both, reportedAt(5, one), reportedAt(3, one)} {
			apply(t, p, r)
			checkAccess(t, p, "alice", "")
			checkAccess(t, p, "bob", "pro")
		}
		both.Subscription.ID = "sub_0"
		checkContradiction(t, p, both, "Owner")

		another := sold("", "sub_2", "max") // of the same customer, without metadata
		another.Customer = "cus_1"
		apply(t, p, reportedAt(6, another))
		checkAccess(t, p, "bob", "max")
		another.Customer = "cus_2"
		checkContradiction(t, p, reportedAt(7, another), "Customer")
		another.ID = "sub_3"
		checkContradiction(t, p, reportedAt(8, another), "Owner")
		shared := sold("carol", "sub_4", "pro")
		shared.Customer = "cus_1"
		apply(t, p, reportedAt(9, shared)) // an agency pays for two teams
		another.ID, another.Customer = "sub_5", "cus_1"
		checkContradiction(t, p, reportedAt(10, another), "Owner")
	})
}

// checkContradiction fails unless Apply refuses the report because of the field.
func checkContradiction(t *testing.T, p *sqlprovider.Provider, r entitlement.Report, field string) {
	t.Helper()
	before := purchases(t, p, "bob")
	var invalid *entitlement.InvalidError
	if _, err := p.Apply(t.Context(), r); !errors.As(err, &invalid) || invalid.Field != field {
		t.Errorf("got %v, want an InvalidError of the field %s", err, field)
	}
	if after := purchases(t, p, "bob"); !reflect.DeepEqual(before, after) {
		t.Errorf("got %+v after a refused report, want %+v", after, before)
	}
}

// A record belongs to one other, and a refund is in the currency of its payment.
func TestReportsThatContradict(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		apply(t, p, reportedAt(1, paid("in_1", "sub_1")))
		apply(t, p, reportedAt(1, entitlement.Charge{ID: "pi_1", Payment: "in_1"}))
		checkContradiction(t, p, reportedAt(2, paid("in_1", "sub_2")), "subscription")
		checkContradiction(t, p, reportedAt(2, entitlement.Charge{ID: "pi_1", Payment: "in_2"}), "payment")
		euros := refunded("re_1", "pi_1", 1000)
		euros.Currency = "eur"
		checkContradiction(t, p, reportedAt(2, euros), "Currency")
		checkAccess(t, p, "ann", "pro")
	})
}

// Eight writers report the same subscription at once, with two owners. One owner has it then.
func TestReportsAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		for round := range testkit.Scale(20, 500) {
			id := fmt.Sprint("sub_", round)
			var all sync.WaitGroup
			stored := make(chan string, 8)
			for i := range 8 {
				all.Go(func() {
					owner := fmt.Sprint(id, " of ", i%2)
					applied, err := p.Apply(t.Context(), reportedAt(i, sold(owner, id, "pro")))
					if applied.Changed {
						stored <- owner
					}
					if err != nil && !errors.As(err, new(*entitlement.InvalidError)) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			close(stored)
			owner := <-stored
			for other := range stored {
				if other != owner {
					t.Errorf("%s was stored for %q and for %q", id, owner, other)
				}
			}
			checkAccess(t, p, owner, "pro")
		}
	})
}

// A Watch reports the owner of a refund, even if the refund arrived before the payment.
func TestWatchSeesRefunds(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, told := startWatched(t, d)
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		wantTold(t, told, "ann")
		for _, r := range []entitlement.Report{
			reportedAt(1, paid("in_1", "sub_1")), reportedAt(1, entitlement.Charge{ID: "pi_1", Payment: "in_1"}), reportedAt(1, refunded("re_1", "pi_1", 1000)),
		} {
			apply(t, p, r)
			wantTold(t, told, "ann")
		}
		apply(t, p, reportedAt(2, sold("eve", "sub_2", "pro")))
		wantTold(t, told, "eve")
		apply(t, p, reportedAt(2, refunded("re_2", "pi_2", 1000)))
		apply(t, p, reportedAt(2, entitlement.Charge{ID: "pi_2", Payment: "in_2"}))
		apply(t, p, reportedAt(2, paid("in_2", "sub_2")))
		wantTold(t, told, "eve")
		checkAccess(t, p, "eve", "")
	})
}

// a program that knows only version 2 of the schema stores subscriptions by owner. A
// newer program reads them, and each counts once, by its newest state.
func TestSubscriptionsOfVersion2(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		old := bought("ann", "sub_1", "pro")
		put(t, p, old, true) // as version 2 does
		checkAccess(t, p, "ann", "pro")
		ended := sold("ann", "sub_1", "pro")
		ended.Status = entitlement.Ended
		apply(t, p, reportedAt(1, ended))
		checkAccess(t, p, "ann", "")
		old.UpdatedAt = noon.Add(2 * time.Minute)
		put(t, p, old, true)
		checkAccess(t, p, "ann", "pro")
		if got := subscriptions(t, p, "ann"); len(got) != 1 || got[0].Source != "stripe" {
			t.Errorf("got %+v, want one subscription, of stripe", got)
		}
		apply(t, p, reportedAt(3, ended))
		checkAccess(t, p, "ann", "")
		apply(t, p, reportedAt(4, sold("ann", "sub_1", "pro")))
		if _, err := p.SetOwner(t.Context(), "stripe", "sub_1", "bob"); err != nil {
			t.Fatal(err)
		}
		checkAccess(t, p, "ann", "")
		checkAccess(t, p, "bob", "pro")
	})
}

// A subscription that ends before its owner is known is stored, so that an older state
// cannot give access later.
func TestEndOfUnknownOwner(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		ended := sold("", "sub_1", "")
		ended.Status = entitlement.Ended
		if got := apply(t, p, reportedAt(2, ended)); !got.Changed || len(got.Owners) > 0 {
			t.Errorf("got %+v, want a change for no owner", got)
		}
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		checkAccess(t, p, "ann", "")
		checkContradiction(t, p, reportedAt(3, sold("", "sub_1", "pro")), "Owner")
		apply(t, p, reportedAt(3, sold("ann", "sub_1", "pro")))
		checkAccess(t, p, "ann", "pro")
		bob := sold("bob", "sub_1", "pro")
		bob.Customer = "cus_1" // none was known before
		checkContradiction(t, p, reportedAt(4, bob), "Owner")
		checkContradiction(t, p, reportedAt(4, sold("", "sub_2", "pro")), "Owner")
	})
}

// An older state is not stored, so its owner does not matter. If a late event
// were rejected, the billing system would send it again for days, and Polar would send nothing
// else meanwhile.
func TestOlderStateNeedsNoOwner(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		ended := sold("", "sub_1", "")
		ended.Status = entitlement.Ended
		apply(t, p, reportedAt(2, ended))
		two := reportedAt(1, sold("ann", "sub_1", "pro"))
		two.Owners = []string{"bob"}
		for _, r := range []entitlement.Report{reportedAt(1, sold("", "sub_1", "pro")), two} {
			if got := apply(t, p, r); got.Changed || len(got.Owners) > 0 {
				t.Errorf("got %+v, want no change", got)
			}
		}
		checkAccess(t, p, "ann", "")
	})
}

// E-02, E-03: a subscription ends even if the event names another owner or several ones. It
// keeps its owner.
func TestEndNamesAnotherOwner(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		for i, others := range [][]string{{"bob"}, {"alice", "bob"}, {"bob", "carol"}} {
			id := fmt.Sprint("sub_", i)
			apply(t, p, reportedAt(1, sold("alice", id, "pro")))
			checkAccess(t, p, "alice", "pro")
			end := sold("", id, "pro")
			end.Status = entitlement.Ended
			r := reportedAt(2, end)
			r.Owners = others
			if got := apply(t, p, r); !reflect.DeepEqual(got, entitlement.Applied{Owners: []string{"alice"}, Changed: true}) {
				t.Errorf("got %+v, want a change of alice", got)
			}
			checkAccess(t, p, "alice", "")
			checkContradiction(t, p, reportedAt(3, sold("bob", id, "pro")), "Owner")
		}
		unknown := sold("alice", "sub_9", "pro")
		unknown.Status = entitlement.Ended
		r := reportedAt(2, unknown)
		r.Owners = []string{"bob"}
		checkContradiction(t, p, r, "Owner")
	})
}

// A Watch sees the payment of a report whose charge contradicts what is stored.
func TestWatchSeesAReportThatIsStoredInPart(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, told := startWatched(t, d)
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		wantTold(t, told, "ann")
		apply(t, p, reportedAt(1, entitlement.Charge{ID: "pi_1", Payment: "in_1"}))
		apply(t, p, reportedAt(1, entitlement.Reversal{ID: "re_2", Kind: entitlement.Refund, Payment: "in_2", Whole: true}))
		both := reportedAt(2, paid("in_2", "sub_1"))
		both.Charge = &entitlement.Charge{ID: "pi_1", Payment: "in_2", UpdatedAt: both.Payment.UpdatedAt}
		applied, err := p.Apply(t.Context(), both)
		if want := (entitlement.Applied{Owners: []string{"ann"}, Changed: true}); !errors.As(err, new(*entitlement.InvalidError)) || !reflect.DeepEqual(applied, want) {
			t.Fatalf("got %+v, %v, want the payment of ann stored and the charge refused", applied, err)
		}
		wantTold(t, told, "ann")
		checkAccess(t, p, "ann", "")
	})
}
