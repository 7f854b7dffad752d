package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An event is an event of the billing system, with Polar's names.
type event struct {
	kind   string
	fields func(s sale) map[string]any
}

// A sale is what an event is about: the customer's subscription and its order.
type sale struct {
	subscription, order string
	at                  time.Time
}

// subscribed returns the fields of the subscription.
func subscribed(product, status string, paidFrom, paidFor time.Duration) func(sale) map[string]any {
	return func(s sale) map[string]any {
		return map[string]any{
			"id": s.subscription, "product_id": product, "status": status,
			"created_at": s.at, "current_period_start": s.at.Add(paidFrom), "current_period_end": s.at.Add(paidFor),
		}
	}
}

const month = 30 * 24 * time.Hour

var events = map[string]event{
	"purchase": {"subscription.active", subscribed("product_pro", "active", 0, month)},
	"upgrade":  {"subscription.updated", subscribed("product_team", "active", 0, month)},
	"unpaid":   {"subscription.past_due", subscribed("product_pro", "past_due", -time.Hour, month)},
	"cancel":   {"subscription.revoked", subscribed("product_pro", "canceled", 0, month)},
	"unknown":  {"subscription.updated", subscribed("product_new", "active", 0, month)},
	"payment":  {"order.paid", paid},
	"refund":   {"refund.created", refunded},
}

func paid(s sale) map[string]any {
	return map[string]any{
		"id": s.order, "subscription_id": s.subscription, "billing_reason": "subscription_create", "created_at": s.at,
		"net_amount": 2000, "currency": "usd",
	}
}

func refunded(s sale) map[string]any {
	return map[string]any{
		"id": "refund_of_" + s.order, "order_id": s.order, "status": "succeeded", "amount": 2000, "currency": "usd",
		"organization_id": organization,
	}
}

// billing is a billing system. It sends events to a service and signs them with the
// secret that they share. Each run has a subscription of its own.
type billing struct{ to, secret, run string }

func (b billing) send(ctx context.Context, e event) (status int, err error) {
	now := time.Now().UTC()
	data := e.fields(sale{"subscription_" + b.run, "order_" + b.run, now})
	data["customer_id"], data["customer"] = "customer_1", map[string]any{"external_id": customer, "organization_id": organization}
	body, err := json.Marshal(map[string]any{"type": e.kind, "timestamp": now, "data": data})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.to+"/billing/events", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if err := b.sign(r.Header, now, body); err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// sign sets the headers of standardwebhooks.com.
func (b billing) sign(h http.Header, now time.Time, body []byte) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(b.secret, "whsec_"))
	if err != nil {
		return err
	}
	id, at := "msg_"+rand.Text(), strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	h.Set("Content-Type", "application/json")
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}
