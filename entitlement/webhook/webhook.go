package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// New returns the handler that keeps the table up to date with what the sender
// says. Products says which plan of the catalog each product is in, by the product's
// id or, for Stripe, that of the product or the price, of which the price's goes
// first. The plan "" is for what is sold and is in none. Nil Options are fine.
//
// It fails for a plan that is not in the catalog, and for secrets that could be
// guessed.
func New(table Table, from Sender, catalog *entitlement.Catalog, products map[string]string, o *Options) (*Handler, error) {
	switch {
	case table == nil:
		return nil, errors.New("webhook: the table is nil")
	case from.subjects == nil:
		return nil, errors.New("webhook: the sender is none of Stripe, Polar and Dodo")
	case from.err != nil:
		return nil, fmt.Errorf("webhook: %s: %w", from.name, from.err)
	case catalog == nil:
		return nil, errors.New("webhook: the catalog is nil")
	}
	if err := checkProducts(catalog, products); err != nil {
		return nil, err
	}
	return &Handler{table, from, catalog, maps.Clone(products), o.withDefaults()}, nil
}

func checkProducts(catalog *entitlement.Catalog, products map[string]string) error {
	if len(products) == 0 {
		return errors.New("webhook: no product is in a plan")
	}
	for _, product := range slices.Sorted(maps.Keys(products)) {
		if err := checkText(product); err != nil {
			return fmt.Errorf("webhook: product %q: %w", product, err)
		}
		if products[product] == "" {
			continue
		}
		if _, err := catalog.Plan(products[product]); err != nil {
			return fmt.Errorf("webhook: product %q: %w", product, err)
		}
	}
	return nil
}
