package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// A stripeSubscription has those fields of a subscription in Stripe's API that count. The
// struct of Stripe's SDK has them too.
type stripeSubscription struct {
	ID                string            `json:"id"`
	Customer          string            `json:"customer"`
	Status            string            `json:"status"`
	Metadata          map[string]string `json:"metadata"`
	Created           int64             `json:"created"`
	TrialEnd          int64             `json:"trial_end"`
	CancelAt          int64             `json:"cancel_at"`
	CancelAtPeriodEnd bool              `json:"cancel_at_period_end"`
	Items             struct {
		Data []struct {
			CurrentPeriodStart int64 `json:"current_period_start"`
			CurrentPeriodEnd   int64 `json:"current_period_end"`
			Price              struct {
				ID string `json:"id"`
			} `json:"price"`
		} `json:"data"`
	} `json:"items"`
}

// reportOf returns what Stripe's API says about a subscription with one item. The products
// map each price to a plan of the catalog. The times are passed on as they are.
func reportOf(s stripeSubscription, products map[string]string) entitlement.Report {
	item := s.Items.Data[0]
	from, to := time.Unix(item.CurrentPeriodStart, 0), time.Unix(item.CurrentPeriodEnd, 0)
	sub := entitlement.Subscription{
		ID: s.ID, Customer: s.Customer, Owner: s.Metadata["owner"], Plan: products[item.Price.ID], StartedAt: time.Unix(s.Created, 0),
	}
	switch s.Status {
	case "active":
		sub.Status, sub.PeriodStart, sub.PeriodEnd = entitlement.Active, from, to
	case "trialing": // nothing was paid, so there is no PeriodStart
		sub.Status, sub.PeriodEnd = entitlement.Trialing, to
	case "past_due": // Stripe has begun the next period, which nobody has paid for
		sub.Status, sub.PeriodEnd = entitlement.PastDue, from
		if s.TrialEnd >= item.CurrentPeriodStart { // the first payment after a trial
			sub.Status = entitlement.Trialing
		}
	default: // incomplete, incomplete_expired, unpaid, paused, canceled
		sub.Status = entitlement.Ended
	}
	if s.Status == "active" || s.Status == "trialing" {
		sub.CancelAtPeriodEnd = s.CancelAtPeriodEnd
		if s.CancelAt != 0 && s.CancelAt <= item.CurrentPeriodEnd { // and not in a later period
			sub.PeriodEnd, sub.CancelAtPeriodEnd = time.Unix(s.CancelAt, 0), true
		}
	}
	return entitlement.Report{Subscription: &sub}
}

// After an outage, the subscriptions that Stripe's API lists are compared with what is
// stored.
func ExampleHandler_Reconcile() {
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true}})
	if err != nil {
		log.Fatal(err)
	}
	products := map[string]string{"price_1Qpro": "pro"}
	st := newStore() // in a real program: sqlprovider.New
	events, err := webhook.New(st, webhook.Stripe("whsec_KhExampleKhExampleKhExampleKh12"), catalog, products, nil)
	if err != nil {
		log.Fatal(err)
	}

	// In a real program, these are the pages of GET /v1/subscriptions?status=all.
	page := []byte(`[{"id": "sub_1", "customer": "cus_1", "status": "active", "metadata": {"owner": "ann"}, "created": 1772359200,
		"cancel_at_period_end": true, "items": {"data": [
		{"current_period_start": 1772359200, "current_period_end": 1775037600, "price": {"id": "price_1Qpro"}}]}}]`)
	var all iter.Seq2[entitlement.Report, error] = func(yield func(entitlement.Report, error) bool) {
		var listed []stripeSubscription
		if err := json.Unmarshal(page, &listed); err != nil {
			yield(entitlement.Report{}, err)
			return
		}
		for _, s := range listed {
			if !yield(reportOf(s, products), nil) {
				return
			}
		}
	}
	result, err := events.Reconcile(context.Background(), all)
	fmt.Printf("%+v %v\n", result, err)
	// Output: {Read:1 Changed:1 Rejected:[] Missing:[]} <nil>
}
