package sqlprovider

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// mostNamed is how many unknown plans an error names.
const mostNamed = 10

// Check fails, naming them, when there are subscriptions to plans that are not
// in the catalog, so that a plan that was renamed is noticed at start and not by
// the customers who have it; the error matches [entitlement.ErrUnknownPlan]. What
// is ended or held grants nothing and may have any plan, and so may what was paid
// for until longer ago than [entitlement.MaxGrace]. It fails for a status that is
// not known, too, whenever that ends. It reads all of the table.
func (p *Provider) Check(ctx context.Context) error {
	lapsed := time.Now().Add(-entitlement.MaxGrace) // whatever the override
	bought, err := collect(ctx, p, scanBought, p.sql.plans, lapsed.UnixMicro())
	if err != nil {
		return verb("check", err)
	}
	var unknown []string
	for _, b := range bought {
		if !b.status.Valid() {
			return verb("check", fmt.Errorf("status %q is not known", b.status))
		}
		if _, err := p.catalog.Plan(b.plan); err != nil {
			unknown = append(unknown, fmt.Sprintf("%q", b.plan))
		}
	}
	return verb("check", unknownPlans(unknown))
}

func unknownPlans(unknown []string) error {
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	unknown = slices.Compact(unknown)
	more := ""
	if n := len(unknown) - mostNamed; n > 0 {
		unknown, more = unknown[:mostNamed], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: %s%s", entitlement.ErrUnknownPlan, strings.Join(unknown, ", "), more)
}

// bought is a plan that somebody has, and how.
type bought struct {
	plan   string
	status entitlement.Status
}

func scanBought(rows *sql.Rows) (b bought, err error) {
	var status string
	err = rows.Scan(&b.plan, &status)
	b.status = entitlement.Status(status)
	return b, err
}
