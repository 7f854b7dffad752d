package plans_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A story is a service with a Manager, whose plans are in a database and come from the
// events of a billing system.
type story struct {
	t      *testing.T
	sender sender
	plans  *sqlprovider.Provider
	keys   *apikey.Manager
	hooks  *webhook.Handler
	tokens map[string]string // by owner

	records *memstore.Store
	bus     cache.Bus
}

// A sender is a billing system that reports a sale in one event. A billing sends all
// events of an account.
type sender struct {
	name   string
	source func(secrets ...string) webhook.Source
	event  func(sale) object
	sign   func(h http.Header, secret string, body []byte)
}

type object = map[string]any

var senders = []sender{
	{"Stripe", webhook.Stripe, stripeEvent, signStripe},
	{"Polar", func(s ...string) webhook.Source { return webhook.Polar("org_1", s...) }, polarEvent, signStandard},
	{"Dodo", func(s ...string) webhook.Source { return webhook.Dodo("bus_1", s...) }, dodoEvent, signStandard},
}

// A sale is the state of a subscription for a month, or for a trial of two weeks.
type sale struct {
	id, owner, product string
	trial, ended       bool
}

// days returns the length of the period and of the trial.
func (s sale) days() (period, trial int) {
	if s.trial {
		return 14, 14
	}
	return 30, 0
}

func (s sale) end() time.Time {
	days, _ := s.days()
	return time.Now().UTC().AddDate(0, 0, days)
}

func (s sale) status(ended string) string {
	switch {
	case s.ended:
		return ended
	case s.trial:
		return "trialing"
	}
	return "active"
}

func stripeEvent(s sale) object {
	now := time.Now().Unix()
	return object{"id": "evt_" + rand.Text(), "type": "customer.subscription.updated", "created": now, "livemode": true, "data": object{"object": object{
		"id": s.id, "created": now, "status": s.status("canceled"), "customer": "cus_1", "metadata": object{"owner": s.owner},
		"items": object{"data": []any{object{"price": object{"id": s.product}, "current_period_start": now, "current_period_end": s.end().Unix()}}},
	}}}
}

func polarEvent(s sale) object {
	now := time.Now().UTC()
	return object{"type": "subscription.updated", "timestamp": now, "data": object{
		"id": s.id, "created_at": now, "status": s.status("canceled"), "product_id": s.product, "metadata": object{"owner": s.owner},
		"customer_id": "cus_1", "customer": object{"organization_id": "org_1"}, "current_period_start": now, "current_period_end": s.end(),
	}}
}

func dodoEvent(s sale) object {
	now, status := time.Now().UTC(), s.status("cancelled")
	if status == "trialing" {
		status = "active" // Dodo has no status for it
	}
	_, trial := s.days()
	return object{"type": "subscription.updated", "timestamp": now, "business_id": "bus_1", "data": object{
		"subscription_id": s.id, "created_at": now, "status": status, "product_id": s.product, "metadata": object{"owner": s.owner},
		"customer": object{"customer_id": "cus_1"}, "previous_billing_date": now, "next_billing_date": s.end(), "trial_period_days": trial,
	}}
}

const secretText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func computeMAC(key, text string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s%s", text, body)
	return mac.Sum(nil)
}

func signStripe(h http.Header, secret string, body []byte) {
	at := fmt.Sprint(time.Now().Unix())
	h.Set("Stripe-Signature", "t="+at+",v1="+hex.EncodeToString(computeMAC(secret, at+".", body)))
}

func signStandard(h http.Header, _ string, body []byte) { signEvent(h, "evt_"+rand.Text(), body) }

// signEvent signs an event with an ID, which stays the same when the event is sent again.
func signEvent(h http.Header, id string, body []byte) {
	key, err := base64.StdEncoding.DecodeString(secretText)
	if err != nil {
		panic(err)
	}
	at := fmt.Sprint(time.Now().Unix())
	h["Webhook-Id"], h["Webhook-Timestamp"] = []string{id}, []string{at}
	h["Webhook-Signature"] = []string{"v1," + base64.StdEncoding.EncodeToString(computeMAC(string(key), id+"."+at+".", body))}
}

// forEachStory runs a test on all databases with all senders.
func forEachStory(t *testing.T, check func(*story)) {
	forEach(t, func(t *testing.T, d database) {
		for _, sender := range senders {
			t.Run(sender.name, func(t *testing.T) {
				p, _ := d.start(t)
				s := &story{t: t, sender: sender, plans: p, tokens: map[string]string{}, records: memstore.New()}
				s.begin(nil)
				check(s)
			})
		}
	})
}

// newManager returns another instance.
func (s *story) newManager() *apikey.Manager {
	s.t.Helper()
	keys, err := apikey.New(s.records, &apikey.Options{Entitlements: s.plans, Bus: s.bus})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { keys.Close(context.WithoutCancel(s.t.Context())) })
	return keys
}

// begin creates the Manager, and a handler with the options.
func (s *story) begin(opts *webhook.Options) {
	s.t.Helper()
	s.keys = s.newManager()
	var o webhook.Options
	if opts != nil {
		o = *opts
	}
	o.Changed = s.keys.InvalidateOwner
	s.hooks = newHandler(s.t, s.plans, s.sender, &o)
}

func newHandler(t testing.TB, p *sqlprovider.Provider, sender sender, opts *webhook.Options) *webhook.Handler {
	t.Helper()
	h, err := webhook.New(p, sender.source("whsec_"+secretText), catalog(t), map[string]string{"product_pro": "pro", "product_max": "max"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// send sends an event and checks the status of the response.
func (s *story) send(event object, want int) {
	s.t.Helper()
	if got := post(s.t, s.hooks, s.sender, event); got != want {
		s.t.Errorf("%v: got %d, want %d", event, got, want)
	}
}

// post sends a signed event and returns the status of the response.
func post(t testing.TB, h http.Handler, sender sender, event object) int {
	t.Helper()
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	sender.sign(r.Header, "whsec_"+secretText, body)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// sell sends the event of a sale.
func (s *story) sell(one sale) {
	s.t.Helper()
	s.send(s.sender.event(one), http.StatusOK)
}

// checkPlan checks which plan the owner's key has. The owner's first key is created at
// the first call with a plan.
func (s *story) checkPlan(owner, want string) {
	s.t.Helper()
	if s.tokens[owner] == "" && want != "" {
		issued, err := s.keys.Create(s.t.Context(), apikey.CreateParams{Owner: owner, Name: "a key"})
		if err != nil {
			s.t.Fatal(err)
		}
		s.tokens[owner] = issued.Secret.Reveal()
	}
	if s.tokens[owner] == "" {
		if _, err := s.keys.Create(s.t.Context(), apikey.CreateParams{Owner: owner, Name: "a key"}); !errors.Is(err, apikey.ErrNotEntitled) {
			s.t.Errorf("owner %s: got %v, want ErrNotEntitled", owner, err)
		}
		return
	}
	p, err := s.keys.Validate(s.t.Context(), s.tokens[owner])
	switch {
	case want == "" && !errors.Is(err, apikey.ErrNotEntitled):
		s.t.Errorf("owner %s: got %v, want ErrNotEntitled", owner, err)
	case want != "" && (err != nil || p.Entitlement().Plan != want):
		s.t.Errorf("owner %s: got %+v, %v, want plan %s", owner, p, err, want)
	}
}

// E-03: a lesser plan never replaces a better one, and a trial never replaces a paid plan.
// Anyone can buy for another owner.
func TestBetterPlanCounts(t *testing.T) {
	forEachStory(t, func(s *story) {
		paid := sale{id: "sub_1", owner: "ann", product: "product_max"}
		s.sell(paid)
		s.checkPlan("ann", "max")
		trial := sale{id: "sub_2", owner: "ann", product: "product_pro", trial: true}
		s.sell(trial)
		s.checkPlan("ann", "max")
		s.sell(sale{id: "sub_3", owner: "ann", product: "product_max", trial: true})
		lesser := sale{id: "sub_4", owner: "ann", product: "product_pro"}
		s.sell(lesser)
		s.checkPlan("ann", "max")
		paid.ended = true
		s.sell(paid) // a downgrade takes effect when the better plan ends
		s.checkPlan("ann", "pro")
		lesser.ended = true
		s.sell(lesser)
		s.checkPlan("ann", "max") // the trial

		s.sell(sale{id: "sub_5", owner: "bob", product: "product_pro"})
		s.checkPlan("bob", "pro")
		s.sell(sale{id: "sub_6", owner: "bob", product: "product_max"}) // an upgrade by a purchase
		s.checkPlan("bob", "max")

		s.checkPlan("eve", "")
		converted := sale{id: "sub_7", owner: "eve", product: "product_max", trial: true}
		s.sell(converted)
		s.sell(sale{id: "sub_8", owner: "eve", product: "product_pro"})
		s.checkPlan("eve", "pro")
		if stored := subscriptions(s.t, s.plans, "eve"); len(stored) != 2 {
			s.t.Errorf("got %+v, want two subscriptions", stored)
		}
		converted.trial = false // the trial is paid for
		s.sell(converted)
		s.checkPlan("eve", "max")
	})
}

// E-04: events of test mode and of other accounts grant nothing and take nothing away, and
// are kept for review.
func TestEventsOfOtherAccounts(t *testing.T) {
	forEachStory(t, func(s *story) {
		otherAccount := map[string]func(event object){
			"Stripe": func(event object) { event["account"] = "acct_2" },
			"Polar":  func(event object) { event["data"].(object)["customer"] = object{"organization_id": "org_2"} },
			"Dodo":   func(event object) { event["business_id"] = "bus_2" },
		}[s.sender.name]
		send := func(one sale, change func(object), want int) {
			s.t.Helper()
			event := s.sender.event(one)
			change(event)
			s.send(event, want)
		}
		one := sale{id: "sub_1", owner: "ann", product: "product_max"}
		send(one, otherAccount, http.StatusUnprocessableEntity)
		s.checkPlan("ann", "")
		s.sell(one)
		s.checkPlan("ann", "max")
		one.ended = true
		send(one, otherAccount, http.StatusUnprocessableEntity)
		rejected := 2
		if s.sender.name == "Stripe" {
			send(one, func(event object) { event["livemode"] = false }, http.StatusUnprocessableEntity)
			rejected++
		}
		s.checkPlan("ann", "max")
		if kept, err := s.plans.Rejected(s.t.Context(), 0); err != nil || len(kept) != rejected {
			s.t.Errorf("got %+v, %v, want %d rejected events", kept, err, rejected)
		}
		s.begin(&webhook.Options{Accounts: []string{"acct_2", "org_2", "bus_2"}})
		send(one, otherAccount, http.StatusOK)
		s.checkPlan("ann", "")
	})
}

// A brokenBus is a bus that is down. It fails or hangs.
type brokenBus struct{ hangs bool }

func (b brokenBus) call(ctx context.Context) error {
	if b.hangs {
		<-ctx.Done()
	}
	return errors.New("the bus is down")
}

func (b brokenBus) Publish(ctx context.Context, _ string) error { return b.call(ctx) }

func (b brokenBus) Receive(ctx context.Context, _ func(func(context.Context, string) error), _ func(string)) error {
	return b.call(ctx)
}

// E-05: a stored event gets 200 while the bus is down. It takes effect here at once and
// on other instances within the bound that the documentation of Changed states.
func TestStoredWhileTheBusIsDown(t *testing.T) {
	forEachStory(t, func(s *story) {
		s.bus = brokenBus{hangs: s.sender.name == "Polar"}
		s.begin(nil)
		there := s.newManager()
		owner := func(i int) string { return fmt.Sprint("owner ", i) }
		sellAll := func(ended bool) {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					s.sell(sale{id: "sub_" + fmt.Sprint(i), owner: owner(i), product: "product_max", ended: ended})
				})
			}
			all.Wait()
		}
		sellAll(false)
		for i := range 50 {
			s.checkPlan(owner(i), "max")
			if _, err := there.Validate(s.t.Context(), s.tokens[owner(i)]); err != nil {
				s.t.Errorf("other instance: got %v", err)
			}
		}
		sellAll(true)
		began := time.Now()
		for i := range 50 {
			s.checkPlan(owner(i), "")
			testkit.Await(s.t, "another instance learns of the change", func() bool {
				_, err := there.Validate(s.t.Context(), s.tokens[owner(i)])
				return errors.Is(err, apikey.ErrNotEntitled)
			})
		}
		if took := time.Since(began); took > 10*time.Second {
			s.t.Errorf("another instance learned of the changes after %v, want at most 10 s", took)
		}
	})
}

// If the state is fetched, two events about changes in the same second leave the current
// state, in either order. Stripe does not send more than ten items.
func TestChangesInOneSecond(t *testing.T) {
	forEachStory(t, func(s *story) {
		var mu sync.Mutex
		current := ""
		s.begin(&webhook.Options{Refetch: func(context.Context, webhook.Event) (entitlement.Subscription, error) {
			mu.Lock()
			defer mu.Unlock()
			if current == "" {
				return entitlement.Subscription{Status: entitlement.Ended}, nil
			}
			return entitlement.Subscription{Plan: current, Status: entitlement.Active}, nil
		}})
		for i := range 12 {
			var both sync.WaitGroup
			for _, plan := range []string{"pro", []string{"max", "", "pro"}[i%3]} {
				mu.Lock()
				current = plan
				mu.Unlock()
				event := s.sender.event(sale{id: "sub_1", owner: "ann", product: "product_pro"})
				if s.sender.name == "Stripe" {
					event["data"].(object)["object"].(object)["items"].(object)["has_more"] = true
				}
				both.Go(func() { s.send(event, http.StatusOK) })
			}
			both.Wait()
			s.checkPlan("ann", current)
		}
	})
}
