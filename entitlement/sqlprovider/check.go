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

// maxNamed is the maximum number of unknown plans that an error names.
const maxNamed = 10

// Check returns an error if a stored subscription has a plan that is not in the
// catalog, so that a renamed plan is noticed at start and not by the customers
// who have it. The error names the plans and matches
// [entitlement.ErrUnknownPlan]. Ended subscriptions may have any plan, and so may
// subscriptions whose paid period ended longer than [entitlement.MaxGrace] ago: they
// grant nothing. Check also returns an error for an unknown status. It reads all
// subscriptions.
func (p *Provider) Check(ctx context.Context) error {
	lapsed := time.Now().Add(-entitlement.MaxGrace) // no override has a longer Grace
	stored, err := collect(ctx, p, scanPlanStatus, p.sql.plans, lapsed.UnixMicro(), lapsed.UnixMicro())
	if err != nil {
		return wrap("check", err)
	}
	var unknown []string
	for _, s := range stored {
		if !s.status.Valid() {
			return wrap("check", fmt.Errorf("unknown status %q", s.status))
		}
		if _, err := p.catalog.Plan(s.plan); err != nil {
			unknown = append(unknown, fmt.Sprintf("%q", s.plan))
		}
	}
	return wrap("check", unknownPlans(unknown))
}

func unknownPlans(unknown []string) error {
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	unknown = slices.Compact(unknown)
	more := ""
	if n := len(unknown) - maxNamed; n > 0 {
		unknown, more = unknown[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: %s%s", entitlement.ErrUnknownPlan, strings.Join(unknown, ", "), more)
}

// A planStatus is the plan and the status of a subscription.
type planStatus struct {
	plan   string
	status entitlement.Status
}

func scanPlanStatus(rows *sql.Rows) (s planStatus, err error) {
	var status string
	err = rows.Scan(&s.plan, &status)
	s.status, _ = parseStatus(status)
	return s, err
}
