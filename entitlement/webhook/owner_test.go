package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// E-02: an event that names another owner than the stored one is rejected and kept, and the
// stored owner keeps the subscription.
func TestAnotherOwner(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		for name, opts := range map[string]*webhook.Options{
			"by metadata": nil,
			"by Owner":    {Owner: webhook.MetadataOwner},
		} {
			st := newStore()
			h := s.handler(t, st, opts)
			s.checkDelivery(t, h, "purchase", 200)
			body := edit(t, loadPayload(t, s, "renewal"), `"org_42"`, `"org_7"`)
			if got := s.deliver(h, "renewal", body); got != 422 || len(st.rejected) != 1 {
				t.Errorf("%s, %s: got %d and %d rejected events, want 422 and one", s.name, name, got, len(st.rejected))
			}
			for who, plan := range map[string]string{owner: "pro", "org_7": ""} {
				if got := st.planAt(t, who, "2026-03-20T00:00:00Z"); got != plan {
					t.Errorf("%s, %s: %s has plan %q, want %q", s.name, name, who, got, plan)
				}
			}
		}
	}
}

// E-02: an event without an owner belongs to the owner of the customer's other
// subscriptions.
func TestOwnerOfCustomer(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		h := s.handler(t, st, nil)
		second := edit(t, loadPayload(t, s, "second_purchase"), `"org_42"`, `null`)
		if got := s.deliver(h, "second", second); got != 422 {
			t.Errorf("%s: no other subscription: got %d, want 422", s.name, got)
		}
		s.checkDelivery(t, h, "purchase", 200)
		if got := s.deliver(h, "second", second); got != 200 || len(st.purchases(owner).Subscriptions) != 2 {
			t.Errorf("%s: got %d and %v, want the owner %s for both subscriptions", s.name, got, st.rows, owner)
		}
	}
}

// E-02: the end of a subscription is stored without an owner, so that an older event that
// comes later gives no access.
func TestEndWithoutOwner(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st, told := newStore(), []string(nil)
		h := s.handler(t, st, &webhook.Options{Changed: func(_ context.Context, who string) error {
			told = append(told, who)
			return nil
		}})
		body := edit(t, loadPayload(t, s, "cancel"), `"org_42"`, `null`)
		if got := s.deliver(h, "cancel", body); got != 200 || st.onlyRow(t).Status != ended || st.onlyRow(t).Owner != "" {
			t.Errorf("%s: got %d and %v, want an end without an owner", s.name, got, st.rows)
		}
		s.checkDelivery(t, h, "purchase", 200)
		if got := st.planAt(t, owner, "2026-03-20T00:00:00Z"); got != "" {
			t.Errorf("%s: after an older event: got plan %q, want none", s.name, got)
		}
		if err := h.Transfer(t.Context(), st.onlyRow(t).ID, "org_7"); err != nil || !slices.Equal(told, []string{"org_7"}) {
			t.Errorf("%s: Transfer: got %v and Changed of %q, want only of the new owner", s.name, err, told)
		}
	}
}

// E-02: MetadataOwner returns the only owner that an event names.
func TestMetadataOwner(t *testing.T) {
	t.Parallel()
	named := func(owner string) map[string]string { return map[string]string{"owner": owner} }
	for name, c := range map[string]struct {
		event   webhook.Event
		want    string
		invalid bool
	}{
		"none":                           {webhook.Event{}, "", false},
		"empty":                          {webhook.Event{Metadata: named("")}, "", false},
		"the subscription":               {webhook.Event{Metadata: named("ann")}, "ann", false},
		"the customer":                   {webhook.Event{CustomerMetadata: named("ann")}, "ann", false},
		"the external ID":                {webhook.Event{CustomerExternalID: "ann"}, "ann", false},
		"all the same":                   {webhook.Event{Metadata: named("ann"), CustomerMetadata: named("ann"), CustomerExternalID: "ann"}, "ann", false},
		"subscription and customer":      {webhook.Event{Metadata: named("ann"), CustomerMetadata: named("bob")}, "", true},
		"subscription and external ID":   {webhook.Event{Metadata: named("ann"), CustomerExternalID: "bob"}, "", true},
		"customer and external ID":       {webhook.Event{CustomerMetadata: named("ann"), CustomerExternalID: "bob"}, "", true},
		"another case is another owner":  {webhook.Event{Metadata: named("ann"), CustomerMetadata: named("Ann")}, "", true},
		"another name in the metadata":   {webhook.Event{Metadata: map[string]string{"Owner": "ann"}}, "", false},
		"the first and the last of them": {webhook.Event{Metadata: named("ann"), CustomerMetadata: named(""), CustomerExternalID: "bob"}, "", true},
	} {
		got, err := webhook.MetadataOwner(t.Context(), c.event)
		if got != c.want || errors.As(err, new(*entitlement.InvalidError)) != c.invalid || err != nil != c.invalid {
			t.Errorf("%s: got %q, %v, want %q and an InvalidError: %t", name, got, err, c.want, c.invalid)
		}
	}
}

// E-02: Transfer moves a subscription. Afterwards, events that name the previous owner, the
// new one or both are accepted, and change nothing about who has it.
func TestTransfer(t *testing.T) {
	t.Parallel()
	for _, s := range storySystems {
		bodies := readLines(t, "testdata/"+s.name+"/transfer.jsonl")
		var told []string
		st := newStore()
		h, err := webhook.New(st, s.source, catalog, storyProducts, &webhook.Options{Changed: func(_ context.Context, owner string) error {
			told = append(told, owner)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		var rejected [][]byte
		for i, body := range bodies {
			if s.deliver(h, fmt.Sprint("msg_", i), body) == 422 {
				rejected = append(rejected, body)
			}
		}
		if len(rejected) < 2 || st.planAt(t, "bob", "2026-09-20T00:00:00Z") != "" || st.planAt(t, "alice", "2026-09-20T00:00:00Z") != "team" {
			t.Fatalf("%s: before: got %d rejected events and the rows %v, want that alice has it", s.name, len(rejected), st.rows)
		}
		id := st.purchases("alice").Subscriptions[0].ID
		told = nil
		if err := h.Transfer(t.Context(), id, "bob"); err != nil || !slices.Equal(told, []string{"alice", "bob"}) {
			t.Errorf("%s: Transfer: got %v and Changed of %q, want alice and bob", s.name, err, told)
		}
		for i, body := range slices.Concat(rejected, bodies) {
			if got := s.deliver(h, fmt.Sprint("msg_", i), body); got != 200 {
				t.Errorf("%s: after the transfer: got %d, want 200: %v", s.name, got, st.rejected)
			}
			if st.planAt(t, "alice", "2026-09-20T00:00:00Z") != "" || st.planAt(t, "bob", "2026-09-20T00:00:00Z") != "team" {
				t.Fatalf("%s: after the transfer: got %v, want that bob has it", s.name, st.rows)
			}
		}
	}
}

func TestTransferFails(t *testing.T) {
	t.Parallel()
	changed := errors.New("the bus is down")
	st := newStore()
	h := stripe.handler(t, st, &webhook.Options{Changed: func(context.Context, string) error { return changed }})
	err := h.Transfer(t.Context(), "sub_1QkhExample0001", "org_7")
	if !errors.As(err, new(*entitlement.InvalidError)) {
		t.Errorf("unknown subscription: got %v, want an InvalidError", err)
	}
	stripe.checkDelivery(t, h, "purchase", 200)
	if err := h.Transfer(t.Context(), "sub_1QkhExample0001", ""); !errors.As(err, new(*entitlement.InvalidError)) || st.onlyRow(t).Owner != owner {
		t.Errorf("no owner: got %v, want an InvalidError", err)
	}
	if err := h.Transfer(t.Context(), "sub_1QkhExample0001", "org_7"); !errors.Is(err, changed) || st.onlyRow(t).Owner != "org_7" {
		t.Errorf("Changed fails: got %v and %v, want its error and the move stored", err, st.rows)
	}
	down := errors.New("down")
	st.before = func(context.Context, string) error { return down }
	if err := h.Transfer(t.Context(), "sub_1QkhExample0001", "org_8"); !errors.Is(err, down) {
		t.Errorf("the store fails: got %v, want its error", err)
	}
}
