// Package webhook takes the events of a billing system and keeps the table of
// plans up to date with them: [New] makes the [http.Handler] to mount where
// [Stripe], [Polar] or [Dodo] sends to.
//
// An event is never a change to be applied but the whole of what the billing
// system says of a subscription, which takes the place of anything older. So it
// does not matter in which order events come, how often, or that some never do.
//
// # Answers
//
// 200 means that the event is in the table, was in it before, or is about
// something else. Everything else makes the sender try again later, over hours
// or days: 503 where the table or Changed failed, and 422 for an event that is
// authentic and cannot be used, since its product is in no plan, its owner is not
// known, or it is not of the documented shape. Those are logged as errors and kept
// by the table; once the cause is mended, the next try works. What is not
// authentic gets 400 or 401, and 405 or 413 if it is no POST or too long, and
// leaves nothing but a line in the log. No answer says why.
//
// Do look at the log: senders disable an endpoint that keeps failing, and Polar
// holds back what comes after an event that does. So say of every product that is
// sold which plan it is in, if only "".
//
// # What is granted
//
// A subscription that is paid for, or on trial, is [entitlement.Active] until
// the end of the period, also when it has been cancelled for that time. One whose
// payment failed is [entitlement.PastDue] since the end of the last period that
// was paid, so that the plan's Grace is the time in which to pay. All else is
// [entitlement.Ended]: what was never paid (incomplete, pending), what nobody
// tries to collect any more (unpaid), what is paused, and what is over. A state
// that is not known is refused.
//
// What is to be renewed is granted for an hour longer than its period, since the
// renewal's event comes seconds after the end of it. When that has to be tried
// again it can take hours: a Grace of the plan covers those.
//
// A full refund and a dispute are [entitlement.Held]. A refund takes away the
// period that was paid for with what was paid back, and what else the owner had
// paid for by then; the next period works as it begins, so cancel what is not to
// be renewed. A dispute takes away all that the owner bought before it, renewals
// included; only what is bought later works. A dispute that is won gives it all
// back, and a partial refund changes nothing. Where a refund is a courtesy, or was
// of something else, let [Options.Owner] return [ErrIgnore], or put the same ID
// into the table as [entitlement.Ended], which lifts the hold.
//
// # Two events at once
//
// Of two events about the same subscription the later one counts, by the time
// that is in them. Stripe's has whole seconds, and a purchase makes several
// events in one. Of those counts the one that is further along: incomplete,
// trialing, active, past due, ended, deleted. Between two that are equally far,
// a hash of their ids decides, so that all who hear of both agree whatever the
// order; it may be the wrong one, until the next event. [Options.Refetch] does not
// depend on any of this.
package webhook
