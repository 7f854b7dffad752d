package cluster_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// sell gives the instance a provider of plans, whose tables are in the database of the
// keys. No instance polls these tables: only the bus carries changes.
func (r *role) sell(ctx context.Context) (*sqlprovider.Provider, error) {
	db, err := sql.Open("pgx", r.DSN)
	if err != nil {
		return nil, err
	}
	p, err := sqlprovider.New(db, sqlstore.PostgreSQL, catalog(), &sqlprovider.Options{Poll: -1, Schema: testkit.GetParam(r.DSN, "search_path")})
	if err != nil {
		return nil, err
	}
	return p, p.Migrate(ctx)
}

func catalog() *entitlement.Catalog {
	c, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true, MaxKeys: -1}})
	if err != nil {
		panic(err)
	}
	return c
}

// receive listens for the billing system's events.
func (r *role) receive(plans *sqlprovider.Provider) error {
	h, err := webhook.New(plans, webhook.Dodo("bus_1", billingSecret), catalog(), map[string]string{"product": "pro"},
		&webhook.Options{Changed: r.keys.InvalidateOwner})
	if err == nil {
		r.hooks = httptest.NewServer(h).URL
	}
	return err
}

var billingSecret = "whsec_" + base64.StdEncoding.EncodeToString(secret)

// A bill is the billing system's event about an owner's only subscription.
type bill struct{ Owner, Status string }

// bill sends the event to the instance itself and records the time of its response.
func (r *role) bill(b bill) done {
	body, err := json.Marshal(map[string]any{"type": "subscription.updated", "business_id": "bus_1", "timestamp": time.Now().UTC(), "data": map[string]any{
		"subscription_id": "sub_" + b.Owner, "product_id": "product", "status": b.Status, "created_at": time.Now().UTC(),
		"previous_billing_date": time.Now().UTC(), "next_billing_date": time.Now().Add(time.Hour).UTC(),
		"metadata": map[string]string{"owner": b.Owner}, "customer": map[string]string{"customer_id": "cus_" + b.Owner},
	}})
	if err != nil {
		return done{Answer: err.Error()}
	}
	q, err := http.NewRequest(http.MethodPost, r.hooks, bytes.NewReader(body))
	if err != nil {
		return done{Answer: err.Error()}
	}
	id, at := "evt_"+rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	q.Header = http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	begin := time.Now()
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return done{Answer: err.Error()}
	}
	answer.Body.Close()
	return done{Answer: answer.Status, Begin: begin.UnixNano(), End: time.Now().UnixNano()}
}
