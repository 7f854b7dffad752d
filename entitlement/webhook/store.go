package webhook

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A Store stores what billing systems report. A Provider of package sqlprovider is one.
//
// Its methods may be called from many goroutines and must return when their context
// ends. An error that matches [*entitlement.InvalidError] means that the event cannot be
// used: it is rejected. With any other error, the response is 503 and the billing system
// tries again. After a method has returned nil, its write survives a crash.
type Store interface {
	// Apply stores each part of the report, unless the stored state is as new or newer.
	// Then it deletes the event that SaveRejected has saved under the report's Source and
	// Event, even if the report has no parts. Applied.Owners lists the owners of the
	// subscriptions to which the parts belong, even if nothing has changed, since an
	// earlier try may have been interrupted. If Apply fails, it lists those of the parts
	// that were stored. If Applied.Incomplete is set after a refund or dispute, the Handler
	// logs a warning.
	Apply(ctx context.Context, report entitlement.Report) (entitlement.Applied, error)

	// SetOwner moves a subscription to another owner and returns the previous one.
	SetOwner(ctx context.Context, source, subscription, owner string) (previous string, err error)

	// Subscriptions returns the source's subscriptions whose IDs are greater than after, in
	// the order of their IDs, and at most limit. Only [Handler.Reconcile] calls it.
	Subscriptions(ctx context.Context, source, after string, limit int) ([]entitlement.Subscription, error)

	// SaveRejected saves an event that could not be used, for review, with the reason. It
	// replaces an earlier copy of the same source and event. The body contains personal
	// data: do not keep it longer than needed.
	SaveRejected(ctx context.Context, source, event string, at time.Time, reason string, body []byte) error
}
