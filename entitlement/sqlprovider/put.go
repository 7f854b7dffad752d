package sqlprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

// Put stores the state s of a subscription, unless the stored state is as new
// or newer, by [entitlement.Subscription.Newer]. In that case it changes
// nothing and returns no error. changed reports whether s was stored.
//
// The owner has 1 to 255 bytes of UTF-8 without control characters. The ID and
// the plan have at most 255 such bytes. The plan must be in the catalog, unless
// the status is [entitlement.Ended] or [entitlement.Held]: then any plan is
// accepted, also none. UpdatedAt must be set, and Version must not be negative.
// Times must be in the years 1 to 9999. They are truncated to microseconds
// before they are compared. Otherwise Put returns an [*entitlement.InvalidError].
// It matches [entitlement.ErrUnknownPlan] if the plan is the cause.
//
// Put takes effect atomically. It may be called any number of times, in any
// order and from any number of processes. After a nil error, s or a newer state
// is stored durably. Put does not change overrides.
func (p *Provider) Put(ctx context.Context, s entitlement.Subscription) (changed bool, err error) {
	if s, err = p.normalized(s); err != nil {
		return false, wrap("put", err)
	}
	n, err := p.put(ctx, s, time.Now().UnixMicro())
	if err == nil && n == 0 {
		err = p.checkStored(ctx, s)
	}
	return n > 0 && err == nil, wrap("put", err)
}

// checkStored returns an error if neither s nor a newer state is stored.
func (p *Provider) checkStored(ctx context.Context, s entitlement.Subscription) error {
	subscriptions, _, err := p.readOwner(ctx, s.Owner)
	if err != nil {
		return err
	}
	for _, stored := range subscriptions {
		if stored.ID == s.ID && !s.Newer(stored) {
			return nil
		}
	}
	return sqldb.ErrSkipped
}

func (p *Provider) put(ctx context.Context, s entitlement.Subscription, now int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // for both statements
	defer cancel()
	status, updated := string(s.Status), sqldb.Micros(s.UpdatedAt)
	since, paid, until := sqldb.Micros(s.StartedAt), sqldb.Micros(s.PeriodStart), sqldb.Micros(s.PeriodEnd)
	n, err := p.exec(ctx, p.sql.put, s.Owner, s.ID, s.Plan, status, since, paid, until, updated, s.Version, now)
	if p.dialect.isDuplicate == nil || !p.dialect.isDuplicate(err) {
		return n, err
	}
	return p.exec(ctx, p.sql.replace, s.Plan, status, since, paid, until, updated, s.Version, now,
		s.Owner, s.ID, updated, updated, s.Version)
}

// normalized returns s as it is stored, or an error if s is invalid.
func (p *Provider) normalized(s entitlement.Subscription) (entitlement.Subscription, error) {
	if err := p.check(s); err != nil {
		return s, err
	}
	for _, field := range []struct {
		name string
		at   *time.Time
	}{{"StartedAt", &s.StartedAt}, {"PeriodStart", &s.PeriodStart}, {"PeriodEnd", &s.PeriodEnd}, {"UpdatedAt", &s.UpdatedAt}} {
		t, err := rounded(*field.at)
		if err != nil {
			return s, invalid(field.name, err)
		}
		*field.at = t
	}
	if s.UpdatedAt.IsZero() {
		return s, invalid("UpdatedAt", errors.New("must be set"))
	}
	return s, nil
}

func (p *Provider) check(s entitlement.Subscription) error {
	err := invalid("Owner", text.CheckID(s.Owner))
	if err == nil {
		err = invalid("ID", text.Check(s.ID, text.MaxID))
	}
	if err == nil {
		err = invalid("Plan", text.Check(s.Plan, text.MaxID))
	}
	if err != nil {
		return err
	}
	if s.Version < 0 {
		return invalid("Version", fmt.Errorf("%d is negative", s.Version))
	}
	switch s.Status {
	case entitlement.Ended, entitlement.Held:
		return nil
	case entitlement.Active, entitlement.PastDue:
		_, err := p.catalog.Plan(s.Plan)
		return invalid("Plan", err)
	}
	return invalid("Status", fmt.Errorf("unknown status %q", s.Status))
}
