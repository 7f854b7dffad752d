// Package webhook receives the events of a billing system and stores the state of
// each subscription and hold. [New] returns the [http.Handler] to which [Stripe],
// [Polar] or [Dodo] sends its events.
//
// An event is never applied as a change. It carries the complete state of a
// subscription or hold, which replaces any older state. So events may arrive in any
// order, repeatedly, or not at all.
//
// # Responses
//
// 200 means that the event is stored, was stored before, or does not concern plans. A
// stored event takes effect within a bound, even if the bus is down: see [Options.Changed].
// With any other status, the billing system tries again, for hours or days:
//   - 503 if the [Store] or a function of the host failed, except [Options.Changed].
//   - 422 if the event is authentic but cannot be used: its product has no
//     plan, its owner is unknown, it is of test mode or of another account, or it
//     does not have the documented shape. The event is logged as an error and
//     saved in the Store. When the cause is fixed, the next try succeeds.
//   - 400 or 401 if the event is not authentic, 405 if the request is not a
//     POST, and 413 if the body is longer than 256 KiB. Such a request appears only in the log.
//
// No response has a body.
//
// Watch the log. Billing systems disable an endpoint that keeps failing, and Polar
// sends later events only after the failed one has succeeded. So list every product
// that you sell in the products of [New], with the plan "" if it has none.
//
// # What each state grants
//
// A subscription that is paid for is [entitlement.Active] until the end of the
// period, even if it will be cancelled then. One on trial is
// [entitlement.Trialing], which never replaces one that was paid for. If the first
// payment failed, the subscription remains Trialing after the trial, for the plan's
// Grace. If a later payment failed, it is [entitlement.PastDue] from the end of the last
// paid period, so the customer has the plan's Grace to pay. In every other state it is
// [entitlement.Ended]: never paid (incomplete, pending), no longer collected (unpaid),
// paused, cancelled or expired. An event with an unknown state is rejected.
//
// A subscription that will be renewed is granted for one more hour after its
// period, since the event of the renewal arrives seconds later. If the payment
// has to be retried, the renewal can take hours. Give the plan a Grace that
// covers this time.
//
// A full refund and a dispute are an [entitlement.Hold].
//   - A refund ends the period that the refunded payment paid for, and
//     everything else that the owner had paid for by then. The next period
//     works again, so cancel a subscription that must not be renewed.
//   - A dispute ends everything that the owner bought before it, including
//     renewals. Only a later purchase works. If the dispute is won, everything
//     works again.
//   - A partial refund changes nothing.
//
// If a refund is a courtesy, or was for something else, let [Options.Owner]
// return [ErrIgnore]. To release a hold, call PutHold of the Store with a newer state
// of it that is Released.
//
// # Two events at once
//
// Of two events about the same subscription, the later one counts, by the time
// in the events. Stripe's times are whole seconds, and a purchase causes
// several events in one second. Of those, the one that is furthest in this
// order counts: incomplete, trialing, active, past due, ended, deleted. Between
// two in the same position, a hash of the event IDs decides, so that the result
// does not depend on the order of arrival. The result may be wrong until the
// next event. With [Options.Refetch], no such guess is made: the state is fetched, and
// fetched again if another instance has stored one meanwhile.
package webhook
