package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/text"
)

// New returns a Handler that stores the events of the source. The products map what
// is sold to plans of the catalog: the key is the ID of a product or, for Stripe, of
// a product or a price. The price has precedence. Map something that is sold and has
// no plan to "". The Options may be nil.
//
// New returns an [*entitlement.InvalidError] if store or catalog is nil, products is
// empty or names a plan that is not in the catalog, or a secret is missing or invalid
// (see [Source]).
func New(store Store, source Source, catalog *entitlement.Catalog, products map[string]string, opts *Options) (*Handler, error) {
	switch {
	case store == nil:
		return nil, invalid("store", errors.New("must not be nil"))
	case source.subjects == nil:
		return nil, invalid("source", errors.New("must be from Stripe, Polar or Dodo"))
	case source.err != nil:
		return nil, invalid("source", fmt.Errorf("%s: %w", source.name, source.err))
	case catalog == nil:
		return nil, invalid("catalog", errors.New("must not be nil"))
	}
	if err := checkProducts(catalog, products); err != nil {
		return nil, err
	}
	return &Handler{store, source, catalog, maps.Clone(products), opts.withDefaults()}, nil
}

func invalid(field string, err error) error {
	return fmt.Errorf("webhook: %w", &entitlement.InvalidError{Field: field, Err: err})
}

func checkProducts(catalog *entitlement.Catalog, products map[string]string) error {
	if len(products) == 0 {
		return invalid("products", errors.New("must not be empty"))
	}
	for _, product := range slices.Sorted(maps.Keys(products)) {
		if err := text.CheckID(product); err != nil {
			return invalid(fmt.Sprintf("product %q", product), err)
		}
		if products[product] == "" {
			continue
		}
		if _, err := catalog.Plan(products[product]); err != nil {
			return invalid(fmt.Sprintf("product %q", product), err)
		}
	}
	return nil
}
