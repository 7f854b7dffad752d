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

// Put stores the state s of a subscription that the host grants itself, unless the stored
// state is as new or newer, by [entitlement.Subscription.Newer]. In that case it changes
// nothing and returns no error. changed reports whether s was stored. Use
// [Provider.Apply] for the subscriptions of a billing system.
//
// The owner has 1 to 255 bytes of UTF-8 without control characters. The ID and the
// plan have at most 255 such bytes. The plan must be in the catalog, unless the
// status is [entitlement.Ended]: then any plan is accepted, even an empty one.
// UpdatedAt must be set, and Version must not be negative. Times must be in the
// years 1 to 9999. They are truncated to microseconds before they are compared.
// A hold of the owner must not have the same ID. Otherwise Put returns an
// [*entitlement.InvalidError] and stores nothing. The error matches
// [entitlement.ErrUnknownPlan] if the plan is the cause.
//
// The ID must not be that of a subscription of a billing system. Otherwise the two count as
// one subscription, and only its newer state counts. They count as one because programs that
// know only version 2 of the schema store such subscriptions in the same way as Put.
//
// Put takes effect atomically. It may be called any number of times, in any
// order and from any number of processes. After a nil error, s or a newer state
// is stored durably.
func (p *Provider) Put(ctx context.Context, s entitlement.Subscription) (changed bool, err error) {
	if s.Source != "" {
		return false, wrap("put", invalid("Source", errors.New("must be empty; Apply stores what a billing system reports")))
	}
	err = p.checkPlan(s)
	if err == nil {
		changed, err = p.putRow(ctx, row{Subscription: s, kind: kindSubscription})
	}
	return changed, wrap("put", err)
}

// PutHold stores the state h of a hold, unless the stored state is as new or newer, by
// [entitlement.Hold.Newer]. It has the limits and errors of Put. A subscription that Put has
// stored for the owner must not have the same ID. To release a hold, put a newer state of
// it that is Released.
func (p *Provider) PutHold(ctx context.Context, h entitlement.Hold) (changed bool, err error) {
	changed, err = p.putRow(ctx, rowOfHold(h))
	return changed, wrap("put hold", err)
}

func (p *Provider) putRow(ctx context.Context, r row) (changed bool, err error) {
	if err = r.normalize(); err != nil {
		return false, err
	}
	n, err := p.put(ctx, r, time.Now().UnixMicro())
	if err == nil && n == 0 {
		err = p.checkStored(ctx, r)
	}
	return n > 0 && err == nil, err
}

// checkStored returns an error if neither r nor a newer state of it is stored.
func (p *Provider) checkStored(ctx context.Context, r row) error {
	rows, err := p.readOwner(ctx, r.Owner)
	if err != nil {
		return err
	}
	for _, stored := range rows {
		switch {
		case stored.ID != r.ID || stored.Source != "" || stored.kind == kindOverride:
		case stored.kind != r.kind:
			return invalid("ID", fmt.Errorf("the owner's %s %q already has it; give the %s another ID", stored.kind, r.ID, r.kind))
		case !r.Newer(stored.Subscription):
			return nil
		}
	}
	return sqldb.ErrSkipped
}

func (p *Provider) put(ctx context.Context, r row, now int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // for both statements
	defer cancel()
	status, updated := storedStatus(r.Subscription), sqldb.Micros(r.UpdatedAt)
	since, paid, until := sqldb.Micros(r.StartedAt), sqldb.Micros(r.PeriodStart), sqldb.Micros(r.PeriodEnd)
	n, err := p.exec(ctx, p.sql.put, r.Owner, r.ID, r.kind, r.Plan, status, since, paid, until, updated, r.Version, now)
	if p.dialect.isDuplicate == nil || !p.dialect.isDuplicate(err) {
		return n, err
	}
	return p.exec(ctx, p.sql.replace, r.kind, r.Plan, status, since, paid, until, updated, r.Version, now,
		r.Owner, r.ID, r.kind, updated, updated, r.Version)
}

// normalize rounds the times as they are stored. It returns an error if a value is
// invalid.
func (r *row) normalize() error {
	err := invalid("Owner", text.CheckID(r.Owner))
	if err == nil {
		err = invalid("ID", text.Check(r.ID, text.MaxID))
	}
	if err != nil {
		return err
	}
	return r.normalizeTimes()
}

// normalizeTimes rounds the times. It returns an error if a time or the version is invalid.
func (r *row) normalizeTimes() error {
	if r.Version < 0 {
		return invalid("Version", fmt.Errorf("%d is negative", r.Version))
	}
	for _, field := range []struct {
		name string
		at   *time.Time
	}{{"StartedAt", &r.StartedAt}, {"PeriodStart", &r.PeriodStart}, {"PeriodEnd", &r.PeriodEnd}, {"UpdatedAt", &r.UpdatedAt}} {
		t, err := rounded(*field.at)
		if err != nil {
			return invalid(field.name, err)
		}
		*field.at = t
	}
	if r.UpdatedAt.IsZero() {
		return invalid("UpdatedAt", errors.New("must be set"))
	}
	return nil
}

// checkPlan returns an error if the status is unknown, or if the plan is invalid for
// it.
func (p *Provider) checkPlan(s entitlement.Subscription) error {
	if err := invalid("Plan", text.Check(s.Plan, text.MaxID)); err != nil {
		return err
	}
	switch s.Status {
	case entitlement.Ended:
		return nil
	case entitlement.Active, entitlement.Trialing, entitlement.PastDue:
		_, err := p.catalog.Plan(s.Plan)
		return invalid("Plan", err)
	}
	return invalid("Status", fmt.Errorf("unknown status %q", s.Status))
}
