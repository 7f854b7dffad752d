package plans_test

import (
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// A Provider is a Table for package webhook.
var (
	_ webhook.Store       = (*sqlprovider.Provider)(nil)
	_ entitlement.Watcher = (*sqlprovider.Provider)(nil)
)
