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
	fields func(now time.Time) map[string]any
}

// subscribed returns the fields of the customer's only subscription.
func subscribed(product, status string, paidFrom, paidFor time.Duration) func(time.Time) map[string]any {
	return func(now time.Time) map[string]any {
		return map[string]any{
			"id": "subscription_1", "product_id": product, "status": status,
			"created_at": now, "current_period_start": now.Add(paidFrom), "current_period_end": now.Add(paidFor),
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
	"refund": {"order.refunded", func(now time.Time) map[string]any {
		return map[string]any{"id": "order_1", "product_id": "product_pro", "status": "refunded", "created_at": now}
	}},
}

// billing is a billing system. It sends events to a service and signs them with the
// secret that they share.
type billing struct{ to, secret string }

func (b billing) send(ctx context.Context, e event) (status int, err error) {
	now := time.Now().UTC()
	data := e.fields(now)
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
