// Package webhook receives the events of a billing system and stores what each owner has
// bought. [New] returns the [http.Handler] to which [Stripe], [Polar], [Dodo] or a
// [Custom] source sends its events.
//
// An event is never applied as a change. It carries the complete state of a subscription,
// payment, refund or dispute, which replaces any older state. So events may arrive in any
// order, repeatedly, or not at all.
//
// # Responses
//
// 200 means that the event is stored, was stored before, or does not concern plans. A
// stored event takes effect within a bound, even if the bus is down: see [Options.Changed].
// With any other status, the billing system tries again, for hours or days:
//   - 503 if the [Store] or a function of the host failed, except [Options.Changed].
//   - 422 if the event is authentic but cannot be used: its product is not in the products
//     of [New], its owner is unknown, it contradicts itself or what is stored, it is of test
//     mode, of another account, or of an API version that [Stripe] refuses, or it does not have
//     the documented shape. The event is logged as an error and saved in the Store. When the
//     cause is fixed, the next try succeeds. If the billing system has stopped trying,
//     [Handler.Replay] processes the saved event.
//   - 400 or 401 if the event is not authentic, 405 if the request is not a
//     POST, and 413 if the body is longer than 256 KiB. Such a request appears only in the log.
//     The first 401 in a minute is logged as a warning, since the secret may be wrong.
//
// No response has a body.
//
// Watch the log. Billing systems disable an endpoint that keeps failing, and Polar
// sends later events only after the failed one has succeeded. So list every product
// that you sell in the products of [New], with the plan "" if it has none.
// For events that were never received, there is [Handler.Reconcile].
//
// # What each state grants
//
// A subscription that is paid for is [entitlement.Active], with the end of its period. If it was
// cancelled for that instant, it also has CancelAtPeriodEnd, and access ends then. A
// subscription on trial is [entitlement.Trialing]. A trial never replaces a subscription that
// was paid for. If the first payment failed, the subscription remains Trialing after the trial,
// for the plan's Grace. If a later payment failed, it is [entitlement.PastDue] from the end of the last
// paid period, so the customer has the plan's Grace to pay. In every other state it is
// [entitlement.Ended]: never paid (incomplete, pending), no longer collected (unpaid),
// paused, cancelled or expired. An event with an unknown state is rejected.
//
// A subscription that will be renewed keeps its access for one hour after the end of the
// period, since the event of the renewal arrives seconds later, and then for the plan's Grace.
// If the payment has to be retried, the renewal can take hours. Give the plan a Grace that
// covers this time. [entitlement.Catalog.Resolve] adds the hour. So every PeriodEnd that the
// host passes, to [Handler.Reconcile] or from [Options.Refetch] or [Custom], is the one that
// the billing system reports.
//
// # Refunds and disputes
//
// A refund or dispute is bound to the payment that it takes back, and the payment to a
// subscription and the period that it paid for. The host needs no code for this, and it
// does not matter which of the events arrives first. The period ends if all its payments
// were refunded in full, or if one of them is disputed. Nothing else ends: no other
// period, and no other subscription. A partial refund changes nothing until the parts add
// up to the payment. A refund that fails later, or a dispute that is won, gives the access
// back. A refund or dispute whose payment is not stored ends nothing until the payment
// arrives. It is logged as a warning, since the endpoint may not select the events of payments.
// If a refund is a courtesy, let [Options.Ignore] return true for its event.
//
// A refund does not cancel the subscription: the next period is paid and granted again.
// Cancel a subscription that must not be renewed.
//
// The payment for a change within a period, which bills the difference, belongs to that
// period. Its refund alone does not bring the old plan back: change the plan in the
// billing system as well.
//
// # Timelines
//
// An upgrade by a new purchase. The owner ann pays for Basic at $10 a month, and Team costs $50.
//
//	1 March   ann buys Basic for $10 (sub_1)           Basic until 1 April
//	10 March  she buys Team for $50 (sub_2)            Team: the higher rank counts
//	11 March  the $10 for sub_1 are refunded           Team: only March of sub_1 has ended
//	12 March  sub_1 is cancelled                       Team until 10 April
//
// A duplicate purchase, and refunds in part.
//
//	1 March   ann buys Team twice, $50 each            Team
//	2 March   $50 of sub_2 are refunded                Team, by sub_1
//	3 March   $20 of sub_1 are refunded                Team: $30 are paid
//	4 March   the other $30 are refunded               no access
//	1 April   sub_1 is renewed for $50                 Team until 1 May
//
// A dispute.
//
//	1 March   ann buys Team for $50                    Team until 1 April
//	1 April   it is renewed for $50                    Team until 1 May
//	5 April   she disputes the payment of 1 March      Team: that period is over
//	6 April   she disputes the payment of 1 April      no access
//	20 April  the second dispute is won                Team until 1 May
//
// Two renewals that are late, and a cancellation. Pro has a Grace of 72 hours.
//
//	1 March, 10:00   ann buys Pro                      valid until 1 April, 10:00
//	1 April, 10:00   the event of the renewal is late  Pro until 4 April, 11:00, if it never arrives
//	1 April, 10:20   it arrives                        valid until 1 May, 10:00
//	1 May, 10:05     the payment fails                 Pro until 4 May, 10:00
//	2 May            it succeeds                       valid until 1 June, 10:00
//	20 May           she cancels for the period's end  Pro until 1 June, 10:00
//
// A transfer. The subscription's metadata names its owner, alice.
//
//	1 March   alice buys Team                          alice has Team
//	5 March   the metadata is changed to bob           alice has Team: the event is rejected,
//	                                                   since it contradicts what is stored
//	6 March   the host calls Transfer to bob           bob has Team, alice has nothing
//	7 March   the billing system sends the event of    bob has Team
//	          5 March again, or one that names alice
//
// # Two events at once
//
// Of two events about the same subscription, payment, refund or dispute, the later one
// counts, by the time in the events. Stripe's times are whole seconds, and a purchase
// causes several events in one second. Of those, the one whose state comes last in this
// order counts:
//   - of a subscription: incomplete, trialing, active, past due, ended, deleted
//   - of a refund: pending, succeeded, failed
//   - of a dispute: inquiry, open, won, lost
//
// If two events have the same state, a hash of the event IDs decides, so that the
// result does not depend on the order of arrival. The result may be wrong until the next
// event. With [Options.Refetch], no such guess is made about subscriptions: the state is
// fetched, and fetched again if another instance has stored one meanwhile.
package webhook
