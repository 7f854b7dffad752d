package main

import (
	"context"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// plans lists the plans that the service sells.
var plans = map[string]entitlement.Entitlement{
	"free": {},
	"pro":  {APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:read"}},
}

// customers represents the service's own table of subscriptions.
type customers struct {
	catalog *entitlement.Catalog
	mu      sync.RWMutex
	byID    map[string]subscription
}

type subscription struct {
	plan  string
	until time.Time // zero: no end
}

func newCustomers() (*customers, error) {
	catalog, err := entitlement.NewCatalog(plans)
	return &customers{catalog: catalog, byID: map[string]subscription{}}, err
}

func (c *customers) set(owner string, s subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[owner] = s
}

// Entitlement implements [entitlement.Provider].
func (c *customers) Entitlement(_ context.Context, owner string) (entitlement.Entitlement, error) {
	c.mu.RLock()
	s, ok := c.byID[owner]
	c.mu.RUnlock()
	if !ok {
		return entitlement.Entitlement{}, entitlement.ErrNone
	}
	e, err := c.catalog.Plan(s.plan)
	e.ValidUntil = s.until
	return e, err
}
