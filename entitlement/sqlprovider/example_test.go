package sqlprovider_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

func ExampleProvider() {
	ctx := context.Background()
	// The host's own pool, with the driver _ "github.com/jackc/pgx/v5/stdlib".
	db, err := sql.Open("pgx", "postgres://localhost/app")
	if err != nil {
		log.Fatal(err)
	}
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{
		"free": {},
		"pro":  {APIAccess: true, MaxKeys: 5, Grace: 72 * time.Hour},
	})
	if err != nil {
		log.Fatal(err)
	}
	plans, err := sqlprovider.New(db, sqlstore.PostgreSQL, catalog, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := plans.Migrate(ctx); err != nil { // also fails if a stored plan is not in the catalog
		log.Fatal(err)
	}

	// Grant a plan for a month to an owner who pays by other means.
	_, err = plans.Put(ctx, entitlement.Subscription{
		Owner: "ann", ID: "contract_1", Plan: "pro", Status: entitlement.Active,
		StartedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		PeriodEnd: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
		UpdatedAt: time.Date(2026, 3, 1, 0, 0, 5, 0, time.UTC),
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Package webhook calls Apply for each event. Call it yourself for a billing system that is
// polled.
func ExampleProvider_Apply() {
	var plans *sqlprovider.Provider // as above
	applied, err := plans.Apply(context.Background(), entitlement.Report{
		Source: "paddle",
		Subscription: &entitlement.Subscription{
			Owner: "ann", ID: "sub_1", Plan: "pro", Status: entitlement.Active,
			PeriodEnd: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
			UpdatedAt: time.Date(2026, 3, 1, 0, 0, 5, 0, time.UTC),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(applied.Owners) // call Manager.InvalidateOwner for each
}

// An owner's access is taken away until a newer state of the hold is Released.
func ExampleProvider_PutHold() {
	var plans *sqlprovider.Provider // as above
	_, err := plans.PutHold(context.Background(), entitlement.Hold{Owner: "ann", ID: "abuse_1", UpdatedAt: time.Now()})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleProvider_SetOverride() {
	var plans *sqlprovider.Provider // as above
	ctx := context.Background()

	// Ann may have twenty keys, even if her plan changes.
	if err := plans.SetOverride(ctx, "ann", entitlement.Override{MaxKeys: 20}); err != nil {
		log.Fatal(err)
	}

	// Remove the override: her plan's limit applies again.
	if err := plans.SetOverride(ctx, "ann", entitlement.Override{}); err != nil {
		log.Fatal(err)
	}
}

func ExampleProvider_Rejected() {
	var plans *sqlprovider.Provider // as above
	rejected, err := plans.Rejected(context.Background(), 20)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range rejected {
		log.Printf("event %s of %v: %s", e.ID, e.At, e.Reason) // no plan is configured for any of ["price_new"]
	}
}

func ExampleProvider_Prune() {
	var plans *sqlprovider.Provider // as above
	if err := plans.Prune(context.Background(), time.Now().AddDate(0, -1, 0)); err != nil {
		log.Fatal(err)
	}
}
