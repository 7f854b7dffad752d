package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// New returns a Handler that stores the events of the source. The products map each
// product that is sold to a plan of the catalog: the key is the ID of a product or,
// for Stripe, of a product or a price. The price has precedence. Map a product that
// has no plan to "". The Options may be nil.
//
// New returns an [*entitlement.InvalidError] if
//   - store or catalog is nil,
//   - the source is not from [Stripe], [Polar], [Dodo] or [Custom], or an argument of that
//     function is invalid,
//   - products is empty or names a plan that is not in the catalog, unless the source is
//     from [Custom], or
//   - products names several plans with API access and they have no Rank: then
//     anyone who can buy for another owner could replace a better plan.
func New(store Store, source Source, catalog *entitlement.Catalog, products map[string]string, opts *Options) (*Handler, error) {
	switch {
	case store == nil:
		return nil, invalid("store", errors.New("must not be nil"))
	case source.name == "" && source.subjects == nil && !source.isCustom():
		return nil, invalid("source", errors.New("must be from Stripe, Polar, Dodo or Custom"))
	case !text.IsSource(source.name):
		return nil, invalid("source", errors.New("the name "+text.SourceRule))
	case source.err != nil:
		return nil, invalid("source", fmt.Errorf("%s: %w", source.name, source.err))
	case catalog == nil:
		return nil, invalid("catalog", errors.New("must not be nil"))
	}
	if !source.isCustom() {
		if err := checkProducts(catalog, products); err != nil {
			return nil, err
		}
	}
	return &Handler{store: store, source: source, catalog: catalog, products: maps.Clone(products), opts: opts.withDefaults()}, nil
}

func invalid(field string, err error) error {
	return fmt.Errorf("webhook: %w", &entitlement.InvalidError{Field: field, Err: err})
}

func checkProducts(catalog *entitlement.Catalog, products map[string]string) error {
	if len(products) == 0 {
		return invalid("products", errors.New("must not be empty"))
	}
	unranked := map[string]bool{}
	for _, product := range slices.Sorted(maps.Keys(products)) {
		if err := text.CheckID(product); err != nil {
			return invalid(fmt.Sprintf("product %q", product), err)
		}
		if products[product] == "" {
			continue
		}
		plan, err := catalog.Plan(products[product])
		if err != nil {
			return invalid(fmt.Sprintf("product %q", product), err)
		}
		if plan.APIAccess && plan.Rank == 0 {
			unranked[plan.Plan] = true
		}
	}
	if len(unranked) > 1 {
		return invalid("products", fmt.Errorf("the plans %q have no rank: set Rank in the catalog, since the better plan counts if an owner has two", slices.Sorted(maps.Keys(unranked))))
	}
	return nil
}
