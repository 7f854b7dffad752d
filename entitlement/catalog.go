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
)

// ErrUnknownPlan is matched by the error for a plan that is not in the
// [Catalog]. It is not [ErrNone]: a misspelt plan is the host's fault, and must
// not turn a paying customer into one without access.
var ErrUnknownPlan = errors.New("entitlement: unknown plan")

// A Catalog is what each plan includes, by the plan's name. It does not change,
// and its methods may be called from many goroutines.
type Catalog struct {
	plans map[string]Entitlement
}

// NewCatalog returns a Catalog of the plans, each under its name, which is also
// put into its Plan field. It fails, naming the plan, for a name that is empty
// or has spaces around it, for a Plan field that says something else, for
// scopes that no key can have, for a grace that is negative or longer than
// [MaxGrace], and for [Limits] that cannot be meant.
func NewCatalog(plans map[string]Entitlement) (*Catalog, error) {
	c := &Catalog{plans: make(map[string]Entitlement, len(plans))}
	if len(plans) == 0 {
		return nil, errors.New("entitlement: a catalog needs at least one plan")
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		e := plans[name]
		if err := check(name, e); err != nil {
			return nil, fmt.Errorf("entitlement: plan %q: %w", name, err)
		}
		e = e.Clone()
		e.Plan = name
		c.plans[name] = e
	}
	return c, nil
}

func check(name string, e Entitlement) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.TrimSpace(name) != name:
		return errors.New("the name has spaces around it")
	case e.Plan != "" && e.Plan != name:
		return fmt.Errorf("the Plan field says %q", e.Plan)
	}
	if err := checkScopes(e.Scopes); err != nil {
		return err
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

// MaxGrace is the longest Grace that a plan or an [Override] can have. What was
// paid for until longer ago grants nothing, whatever they say.
const MaxGrace = 366 * 24 * time.Hour

func checkGrace(d time.Duration) error {
	if d > MaxGrace {
		return fmt.Errorf("grace: %v is longer than %v", d, MaxGrace)
	}
	return nil
}

// ParseCatalog reads a Catalog from JSON: an object of plans by name, each with
// any of the fields
//
//	{"pro": {
//		"api_access": true,
//		"max_keys":   5,
//		"scopes":     ["reports:*"],
//		"features":   ["export"],
//		"limits":     {"per_minute": 60, "per_day": 10000},
//		"grace":      "72h"
//	}}
//
// What is missing is as the zero [Entitlement] has it. A negative number means no
// limit. It is an error, which names the plan, if there is
//
//   - a zero or a null,
//   - a field that is not known,
//   - a plan or a field twice, also in another case, though elsewhere the names of
//     plans are case-sensitive,
//   - more than 1 MiB, or
//   - anything that [NewCatalog] refuses.
func ParseCatalog(data []byte) (*Catalog, error) {
	var files map[string]json.RawMessage
	if err := decodeStrictly(data, &files); err != nil {
		return nil, fmt.Errorf("entitlement: catalog: %w", err)
	}
	plans := make(map[string]Entitlement, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var said Override
		if err := said.UnmarshalJSON(files[name]); err != nil {
			return nil, fmt.Errorf("entitlement: plan %q: %w", name, err)
		}
		plans[name] = said.Over(Entitlement{})
	}
	return NewCatalog(plans)
}

// Plan returns what the plan includes, or an error that matches
// [ErrUnknownPlan]. Names are case-sensitive. Call it at start for each
// plan that the host's own code names.
func (c *Catalog) Plan(name string) (Entitlement, error) {
	e, ok := c.plans[name]
	if !ok {
		return Entitlement{}, fmt.Errorf("%w: %q", ErrUnknownPlan, name)
	}
	return e.Clone(), nil
}

// Provider returns a Provider that asks planOf for the name of the owner's plan
// and answers with what the catalog says of it. An empty name, or [ErrNone],
// means that the owner has none. A name that is not in the catalog is an
// error, and so an outage. planOf must not be nil.
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
