// Package httpprovider is an [entitlement.Provider] that asks a billing service
// over HTTP for the plan of an owner. The catalog defines what a plan includes;
// the service needs to know only the plans' names.
//
//	plans, err := httpprovider.New("https://billing.internal/plan", catalog, &httpprovider.Options{
//		Header: http.Header{"Authorization": {"Bearer " + secret}},
//	})
//	keys, err := apikey.New(st, &apikey.Options{Entitlements: plans})
//
// The Manager caches the result, so the service receives about one request for
// each active owner in each Options.CacheTTL. The Provider itself caches
// nothing.
//
// # The protocol
//
// A request is
//
//	GET /plan?owner=user_1
//	Accept: application/json
//	Cache-Control: no-cache
//
// The response has status 200, the content type application/json, at most 64
// KiB, and a JSON object:
//
//	{
//		"owner":       "user_1",               the owner in the request
//		"plan":        "pro",                  the plan's name in the catalog
//		"valid_until": "2027-01-31T00:00:00Z", end of the paid period, in RFC 3339; null: never
//		"status":      "active",               or past_due or ended; optional
//		"override":    {"max_keys": 20}        see entitlement.Override; optional
//	}
//
// The status has its meaning in [entitlement.Subscription]; without one, it is
// active. A plan that is past_due needs a valid_until. If there is a plan, the
// field valid_until is required, even if it is null. The fields status and
// override may be null or missing. Within the override, null is refused.
//
// If the owner has no plan, the response is {"owner": "user_1", "plan": null}.
// All other fields must be null or missing. Entitlement then returns
// [entitlement.ErrNone].
//
// No response may come from a cache, neither in the service nor on the way. The
// Manager asks when it must know the current state, for example after a plan
// has changed. The request says so with Cache-Control: no-cache (RFC 9111,
// section 5.2.1.4). The service should also send every response with
// Cache-Control: no-store, for caches that ignore the request's header.
//
// # Outages
//
// For every other response, Entitlement returns an outage error, that is, an
// error other than ErrNone:
//   - another status, including 404, which may come from a wrong path;
//   - a redirect, which is not followed;
//   - an HTML page, or a body that is truncated, compressed or too long;
//   - a response about another owner, for example from a proxy's cache;
//   - a plan that is not in the catalog, unless the subscription has ended;
//   - an unknown or repeated field.
//
// During an outage, the Manager uses the last known entitlement within its
// Options.StaleIfError.
//
// Unknown fields are refused because a new field such as "suspended" must not
// be ignored. To add a field, use a new address, or wait until all clients
// understand it.
//
// The Provider cannot detect a service that sends false data in the right form,
// or a cache that returns an old response about the right owner although the
// request forbids it.
package httpprovider
