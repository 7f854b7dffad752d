package entitlement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// ErrUnknownPlan is matched by the error for a plan that is not in the
// [Catalog]. It does not match [ErrNone]: a misspelt plan is the host's
// mistake, so it is reported as an outage and not as a customer without a plan.
var ErrUnknownPlan = errors.New("entitlement: unknown plan")

// A Catalog maps the name of each plan to the Entitlement that the plan grants.
// It is immutable, and its methods may be called from many goroutines.
type Catalog struct {
	plans map[string]Entitlement
}

// NewCatalog returns a Catalog of the plans, keyed by name. It copies them and
// sets the Plan field of each to its name.
//
// It returns an [*InvalidError], which names the plan if one is at fault, if
//   - there are no plans,
//   - a name is empty or has leading or trailing spaces,
//   - a Plan field is neither empty nor the plan's name,
//   - a scope is invalid (see [ValidScope]),
//   - a Grace is negative or longer than [MaxGrace],
//   - a Rank is negative, or some plans with APIAccess have a Rank and others have
//     none, or
//   - the [Limits] of a plan contradict each other, or only one of them is set.
func NewCatalog(plans map[string]Entitlement) (*Catalog, error) {
	c := &Catalog{plans: make(map[string]Entitlement, len(plans))}
	if len(plans) == 0 {
		return nil, fmt.Errorf("entitlement: %w", &InvalidError{"plans", errors.New("want at least one plan")})
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		e := plans[name]
		if err := checkPlan(name, e); err != nil {
			return nil, invalidPlan(name, err)
		}
		e = e.Clone()
		e.Plan = name
		c.plans[name] = e
	}
	if err := c.checkRanks(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkRanks returns an error if a plan with API access has a rank and another has none:
// a forgotten rank would be the lowest.
func (c *Catalog) checkRanks() error {
	ranked, unranked := "", ""
	for _, name := range slices.Sorted(maps.Keys(c.plans)) {
		switch e := c.plans[name]; {
		case !e.APIAccess:
		case e.Rank > 0:
			ranked = name
		case unranked == "":
			unranked = name
		}
	}
	if ranked == "" || unranked == "" {
		return nil
	}
	return invalidPlan(unranked, fmt.Errorf("rank is missing: plan %q has one, so each plan with API access needs one", ranked))
}

func invalidPlan(name string, err error) error {
	return fmt.Errorf("entitlement: %w", &InvalidError{fmt.Sprintf("plan %q", name), err})
}

func checkPlan(name string, e Entitlement) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.TrimSpace(name) != name:
		return errors.New("the name has leading or trailing spaces")
	case e.Plan != "" && e.Plan != name:
		return fmt.Errorf("the Plan field is %q, want the plan's name or nothing", e.Plan)
	}
	if err := checkScopes(e.Scopes); err != nil {
		return err
	}
	if e.Rank < 0 {
		return fmt.Errorf("rank: %d is negative", e.Rank)
	}
	if e.Grace < 0 {
		return fmt.Errorf("grace: %v is negative", e.Grace)
	}
	if err := checkGrace(e.Grace); err != nil {
		return err
	}
	return e.Limits.check()
}

func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if !ValidScope(s) {
			return fmt.Errorf("scope %q: want 1 to 64 characters of A-Z, a-z, 0-9 and :._*/-", s)
		}
	}
	return nil
}

// MaxGrace is the longest Grace of a plan or an [Override]: 366 days. A
// subscription whose paid period ended longer ago than that grants nothing.
const MaxGrace = 366 * 24 * time.Hour

func checkGrace(d time.Duration) error {
	if d > MaxGrace {
		return fmt.Errorf("grace: %v is longer than %v", d, MaxGrace)
	}
	return nil
}

// rules holds the JSON rules of catalog files and overrides. A null in place of a list
// must not be read as nil, which means all scopes.
var rules = strictjson.Rules{MaxBytes: 1 << 20, MaxDepth: 8, NoNull: true, AnyCase: true}

// ParseCatalog reads a Catalog from JSON: an object of plans by name. Each plan
// may have any of these fields:
//
//	{"pro": {
//		"api_access": true,
//		"rank":       1,
//		"max_keys":   5,
//		"scopes":     ["reports:*"],
//		"features":   ["export"],
//		"limits":     {"per_minute": 60, "per_day": 10000},
//		"grace":      "72h"
//	}}
//
// A missing field has its value in the zero [Entitlement]. A negative number
// means no limit. The rank is positive; the order of the plans in the file has no
// meaning. The grace is a duration as [time.ParseDuration] reads it.
// ParseCatalog returns an [*InvalidError], which names the plan if one is at fault,
// if the JSON
//
//   - contains a zero or a null,
//   - contains an unknown field,
//   - contains a plan or a field twice, ignoring case (elsewhere, the names of
//     plans are case-sensitive),
//   - is longer than 1 MiB, or
//   - contains anything that [NewCatalog] refuses.
func ParseCatalog(data []byte) (*Catalog, error) {
	var files map[string]json.RawMessage
	if err := strictjson.Decode(data, &files, rules); err != nil {
		return nil, fmt.Errorf("entitlement: %w", &InvalidError{"catalog", err})
	}
	plans := make(map[string]Entitlement, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		rank, fields, err := parsePlan(files[name])
		if err != nil {
			return nil, invalidPlan(name, err)
		}
		e := fields.Apply(Entitlement{})
		e.Rank = rank
		plans[name] = e
	}
	return NewCatalog(plans)
}

// Plan returns the Entitlement that the plan grants, or an error that matches
// [ErrUnknownPlan]. Names are case-sensitive. Call it at start for each plan that the
// host's code names, to find misspelt names early.
func (c *Catalog) Plan(name string) (Entitlement, error) {
	e, ok := c.plans[name]
	if !ok {
		return Entitlement{}, fmt.Errorf("%w: %q", ErrUnknownPlan, name)
	}
	return e.Clone(), nil
}

// Provider returns a Provider that calls planOf for the name of the owner's plan and
// returns the catalog's Entitlement of that plan. If planOf returns an empty name or
// [ErrNone], the owner has no plan. A name that is not in the catalog is an error that
// matches [ErrUnknownPlan], which counts as an outage. Provider panics if planOf is nil.
func (c *Catalog) Provider(planOf func(ctx context.Context, owner string) (string, error)) Provider {
	if planOf == nil {
		panic("entitlement: Catalog.Provider: planOf is nil")
	}
	return ProviderFunc(func(ctx context.Context, owner string) (Entitlement, error) {
		name, err := planOf(ctx, owner)
		switch {
		case err != nil:
			return Entitlement{}, err
		case name == "":
			return Entitlement{}, ErrNone
		}
		return c.Plan(name)
	})
}
