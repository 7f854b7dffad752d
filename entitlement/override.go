package entitlement

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/internal/strictjson"
)

// An Override replaces fields of the plan for one owner. A field that is zero
// leaves the plan's value unchanged.
//
// As JSON, it has the fields of a plan in a catalog file without the rank; see
// [ParseCatalog].
type Override struct {
	APIAccess *bool
	MaxKeys   int
	Scopes    []string      // empty but not nil: none; {"*"}: all
	Features  []string      // empty but not nil: none
	Limits    Limits        // a zero one leaves the plan's value unchanged
	Grace     time.Duration // negative: none
}

// Apply returns a copy of e with the fields that o sets. It changes neither o
// nor e.
func (o Override) Apply(e Entitlement) Entitlement {
	e = e.Clone()
	if o.APIAccess != nil {
		e.APIAccess = *o.APIAccess
	}
	if o.Scopes != nil {
		e.Scopes = slices.Clone(o.Scopes)
	}
	if o.Features != nil {
		e.Features = slices.Clone(o.Features)
	}
	setUnlessZero(&e.MaxKeys, o.MaxKeys)
	setUnlessZero(&e.Limits.PerMinute, o.Limits.PerMinute)
	setUnlessZero(&e.Limits.PerDay, o.Limits.PerDay)
	setUnlessZero(&e.Grace, o.Grace)
	return e
}

func setUnlessZero[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// IsZero reports whether the override sets no field.
func (o Override) IsZero() bool {
	return o.APIAccess == nil && o.Scopes == nil && o.Features == nil && o.MaxKeys == 0 && o.Limits == Limits{} && o.Grace == 0
}

// Check returns an [*InvalidError] if no plan can have these values: if a scope is
// invalid (see [ValidScope]) or Grace is longer than [MaxGrace].
func (o Override) Check() error {
	if err := o.check(); err != nil {
		return fmt.Errorf("entitlement: %w", &InvalidError{"override", err})
	}
	return nil
}

func (o Override) check() error {
	if err := checkScopes(o.Scopes); err != nil {
		return err
	}
	return checkGrace(o.Grace)
}

// planJSON is a plan of a catalog file, or an Override, as JSON. A missing
// field is nil.
type planJSON struct {
	APIAccess *bool       `json:"api_access,omitempty"`
	Rank      *int        `json:"rank,omitempty"` // only of a plan
	MaxKeys   *int        `json:"max_keys,omitempty"`
	Scopes    []string    `json:"scopes,omitzero"`
	Features  []string    `json:"features,omitzero"`
	Limits    *limitsJSON `json:"limits,omitempty"`
	Grace     *string     `json:"grace,omitempty"`
}

type limitsJSON struct {
	PerMinute *int `json:"per_minute,omitempty"`
	PerDay    *int `json:"per_day,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. It returns an error if Check does,
// since UnmarshalJSON would refuse the result.
func (o Override) MarshalJSON() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := planJSON{APIAccess: o.APIAccess, MaxKeys: nilIfZero(o.MaxKeys), Scopes: o.Scopes, Features: o.Features}
	if o.Limits != (Limits{}) {
		p.Limits = &limitsJSON{nilIfZero(o.Limits.PerMinute), nilIfZero(o.Limits.PerDay)}
	}
	if o.Grace != 0 {
		grace := o.Grace.String()
		p.Grace = &grace
	}
	return json.Marshal(p)
}

// UnmarshalJSON implements [json.Unmarshaler]. It returns an error and leaves o
// unchanged if a field is unknown, repeated, null or zero, or if Check would
// return an error. A negative number means no limit, and a negative grace means
// none.
func (o *Override) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // a no-op by the convention of json.Unmarshaler
	}
	rank, read, err := parsePlan(data)
	switch {
	case err != nil:
		return err
	case rank != 0:
		return errors.New("unknown field rank: only a plan has one")
	}
	*o = read
	return nil
}

// parsePlan reads the rank and the other fields of a plan, or of an override.
func parsePlan(data []byte) (rank int, o Override, err error) {
	var p planJSON
	if err := strictjson.Decode(data, &p, rules); err != nil {
		return 0, o, err
	}
	if err := parseNumber("rank", p.Rank, &rank); err != nil {
		return 0, o, err
	}
	if o, err = p.override(); err != nil {
		return 0, o, err
	}
	return rank, o, o.check()
}

func (p planJSON) override() (Override, error) {
	o := Override{APIAccess: p.APIAccess, Scopes: p.Scopes, Features: p.Features}
	limits := limitsJSON{}
	if p.Limits != nil {
		limits = *p.Limits
	}
	err := cmp.Or(
		parseNumber("max_keys", p.MaxKeys, &o.MaxKeys),
		parseNumber("limits: per_minute", limits.PerMinute, &o.Limits.PerMinute),
		parseNumber("limits: per_day", limits.PerDay, &o.Limits.PerDay),
		parseGrace(p.Grace, &o.Grace),
	)
	return o, err
}

// parseNumber copies a number. It refuses zero, which an Override could not
// distinguish from a missing field.
func parseNumber(name string, from, to *int) error {
	switch {
	case from == nil:
		return nil
	case *from == 0:
		return fmt.Errorf("%s is 0: want a positive number, or a negative one for no limit", name)
	}
	*to = *from
	return nil
}

func parseGrace(from *string, to *time.Duration) error {
	if from == nil {
		return nil
	}
	grace, err := time.ParseDuration(*from)
	switch {
	case err != nil:
		return errors.New(`grace: want a duration like "72h"`)
	case grace == 0:
		return errors.New("grace is 0: omit it, or use a negative grace in an override for none")
	}
	*to = grace
	return nil
}

// nilIfZero returns nil for zero, so that the field is omitted.
func nilIfZero(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
