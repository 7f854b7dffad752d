package sqlprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Put keeps the state s of a subscription, unless the one that is kept is as new
// or newer, as [entitlement.Subscription.Newer] has it: then it changes nothing,
// and that is no error. changed reports which of the two it was.
//
// It takes a plan that is in the catalog; where the status is
// [entitlement.Ended] or [entitlement.Held] any other one too, and none. Owners
// have 1 to 255 bytes of UTF-8 without control characters, ids and plans at most
// that. UpdatedAt must be set, Version not negative, and times in the years 1
// to 9999; what they have below a microsecond is cut off, before they are
// compared. The error for anything else matches [ErrInvalid], and also
// [entitlement.ErrUnknownPlan] where it is the plan.
//
// It is one atomic statement, which may come any number of times, in any order
// and from any number of processes. A nil error means that s, or something
// newer, is kept for good. Overrides are left as they are.
func (p *Provider) Put(ctx context.Context, s entitlement.Subscription) (changed bool, err error) {
	if s, err = p.accepted(s); err != nil {
		return false, verb("put", callers(err))
	}
	n, err := p.put(ctx, s, time.Now().UnixMicro())
	return n > 0, verb("put", err)
}

func (p *Provider) put(ctx context.Context, s entitlement.Subscription, now int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout) // for both
	defer cancel()
	status, updated := string(s.Status), micros(s.UpdatedAt)
	since, paid, until := micros(s.Since), micros(s.PaidFrom), micros(s.ValidUntil)
	n, err := p.exec(ctx, p.sql.put, s.Owner, s.ID, s.Plan, status, since, paid, until, updated, s.Version, now)
	if p.dialect.taken == nil || !p.dialect.taken(err) {
		return n, err
	}
	return p.exec(ctx, p.sql.replace, s.Plan, status, since, paid, until, updated, s.Version, now,
		s.Owner, s.ID, updated, updated, s.Version)
}

// accepted is s as it is kept.
func (p *Provider) accepted(s entitlement.Subscription) (entitlement.Subscription, error) {
	if err := p.check(s); err != nil {
		return s, err
	}
	for _, field := range []struct {
		name string
		at   *time.Time
	}{{"since", &s.Since}, {"paid from", &s.PaidFrom}, {"valid until", &s.ValidUntil}, {"updated at", &s.UpdatedAt}} {
		t, err := rounded(field.name, *field.at)
		if err != nil {
			return s, err
		}
		*field.at = t
	}
	if s.UpdatedAt.IsZero() {
		return s, errors.New("updated at: must be set")
	}
	return s, nil
}

func (p *Provider) check(s entitlement.Subscription) error {
	if err := checkOwner(s.Owner); err != nil {
		return err
	}
	if err := checkText("id", s.ID); err != nil {
		return err
	}
	if err := checkText("plan", s.Plan); err != nil {
		return err
	}
	if s.Version < 0 {
		return fmt.Errorf("version: %d is negative", s.Version)
	}
	switch s.Status {
	case entitlement.Ended, entitlement.Held:
		return nil
	case entitlement.Active, entitlement.PastDue:
		_, err := p.catalog.Plan(s.Plan)
		return err
	}
	return fmt.Errorf("status: %q is not known", s.Status)
}
