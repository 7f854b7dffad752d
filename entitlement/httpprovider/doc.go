// Package httpprovider is an [entitlement.Provider] that asks a billing service
// over HTTP what an owner's plan is. The Catalog says what a plan includes; the
// service needs to know names only.
//
//	plans, err := httpprovider.New("https://billing.internal/plan", catalog, &httpprovider.Options{
//		Header: http.Header{"Authorization": {"Bearer " + secret}},
//	})
//	keys, err := apikey.New(st, &apikey.Options{Entitlements: plans})
//
// The Manager keeps the answers for its Options.CacheTTL, so the service is asked
// once in that time for each owner in use, and no answer is kept here.
//
// # The protocol
//
// A question is
//
//	GET /plan?owner=user_1
//	Accept: application/json
//	Cache-Control: no-cache
//
// and its answer has status 200, the type application/json, at most 64 KiB, and
// this shape:
//
//	{
//		"owner":       "user_1",               the one that was asked for
//		"plan":        "pro",                  its name in the catalog
//		"valid_until": "2027-01-31T00:00:00Z", the end of what was paid for, in RFC 3339; null: never
//		"status":      "active",               or past_due or ended; may be left out
//		"override":    {"max_keys": 20}        see entitlement.Override; may be left out
//	}
//
// The status means what it does in an [entitlement.Subscription]; what is past due
// needs a valid_until. Beside a plan valid_until must be there, if only as null.
// Status and override may be null or left out; within an override null is refused.
// {"owner": "user_1", "plan": null} is how the service says that the owner has no
// plan, and nothing else may then be said. That is [entitlement.ErrNone].
//
// No answer may come from a cache, in the service or on the way: the Manager asks
// when it must know what holds now, as after a plan has changed. The question says
// so (RFC 9111, section 5.2.1.4), and the service does well to send every answer
// with Cache-Control: no-store, for caches that do not listen to who asks.
//
// # What is defended
//
// All else is an outage: an error that is not ErrNone. That goes for another
// status, a 404 too, since that is also what a path that is wrong says; a
// redirect, which is not followed; a page; a body that is cut, compressed or too
// long; another owner's answer, as out of a proxy's cache; a plan that is not in
// the catalog, unless the subscription is over. The Manager then goes by what it
// knew within its Options.StaleIfError.
//
// So is a field that is not known, or comes twice. A service that begins to say
// "suspended" must not be half understood; let it say new things at a new address,
// or when all who ask understand them.
//
// What is not defended: a service that lies with care, and a cache that answers
// the same owner although it was told not to.
package httpprovider
