package webhook

import (
	"context"
	"errors"
	"fmt"
)

// Transfer moves a subscription of the source to another owner, and calls
// [Options.Changed] for both. From then on, the owner that an event of the subscription
// names does not count: events that name the previous owner are accepted, and change
// nothing about who has the subscription.
//
// Keys are not moved. If the previous owner has no other plan, the previous owner's keys get
// 403 at once, and work again when there is a plan again. The new owner creates keys of
// their own. Revoke the keys of the previous owner if they must never work again.
//
// Transfer returns an [*entitlement.InvalidError] if there is no such subscription or if
// the owner is invalid. It also returns an error if the [Store] or Changed fails. If only
// Changed fails, the move is stored all the same and takes effect later, as after an event.
func (h *Handler) Transfer(ctx context.Context, subscription, owner string) error {
	previous, err := h.store.SetOwner(ctx, h.source.name, subscription, owner)
	if err != nil {
		return fmt.Errorf("webhook: transfer: %w", err)
	}
	for _, who := range []string{previous, owner} {
		if who != "" { // an ended subscription may have had no owner
			err = errors.Join(err, h.changed(ctx, who))
		}
	}
	if err != nil {
		return fmt.Errorf("webhook: transfer: stored, but Options.Changed failed; it may take effect later: %w", err)
	}
	return nil
}
