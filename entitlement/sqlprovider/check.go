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

// mostNamed is the maximum number of unknown plans that an error names.
const mostNamed = 10

// Check returns an error if a stored subscription has a plan that is not in the
// catalog, so that a renamed plan is noticed at start and not by the customers
// who have it. The error names the plans and matches
// [entitlement.ErrUnknownPlan]. Subscriptions that are ended or held may have
// any plan, and so may those that were paid until longer than
// [entitlement.MaxGrace] ago: they grant nothing. Check also returns an error
// for a status that is not known. It reads the whole table.
func (p *Provider) Check(ctx context.Context) error {
	lapsed := time.Now().Add(-entitlement.MaxGrace) // whichever grace the override has
	bought, err := collect(ctx, p, scanBought, p.sql.plans, lapsed.UnixMicro())
	if err != nil {
		return verb("check", err)
	}
	var unknown []string
	for _, b := range bought {
		if !b.status.Valid() {
			return verb("check", fmt.Errorf("unknown status %q", b.status))
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

// bought is the plan and the status of some subscription.
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
