// Package remotestore is a [store.Store] over HTTP, for gateways that must not
// access the database themselves. A central key service has the database and serves
// it with a [Handler]. Each gateway calls the service through a [Store], and has a
// Manager of its own:
//
//	st, err := remotestore.New("https://keys.internal", secret, nil)
//	keys, err := apikey.New(st, nil)
//
// The service needs no Manager. The package example shows both sides. Gateways
// validate from their caches: a gateway makes one round trip when it first sees a
// key, and then one per Options.CacheTTL.
//
// # The secret
//
// All gateways share one secret of 32 to 1,024 random bytes; 32 bytes from
// crypto/rand are enough. It is sent in base64url as a Bearer token. Anyone who has
// it can call every method of the store, for every owner, so protect it like the
// database's password. [HandlerOptions.OlderSecrets] allows replacing it without
// downtime.
//
// The host provides TLS: the certificate of the server that runs the handler, and
// client certificates or a private CA in [Options.TLS]. The server needs a
// ReadTimeout and an IdleTimeout. The IdleTimeout must be above 30 s, after which
// this package's clients close an idle connection.
//
// # Security
//
// Only digests are sent, never tokens. An attacker who has neither the secret nor the
// server's private key can read and change nothing. A client accepts a response only if it
// has this package's content type, has exactly the form that the method returns, and
// belongs to the request. Everything else counts as an outage: a proxy's error page, a bare
// 404, a redirect, another owner's record, or a revocation without effect. Neither side
// reads more than the bounds below.
//
// A compromised service is not defended against: it can invent a record for any
// digest, or deny that one exists. The service cannot tell gateways apart, nor
// restrict a gateway to some owners.
//
// # Errors
//
// The sentinels of package store are returned as they are, including [store.ErrBusy]. Every
// other error counts as an outage; its message says whether a write may have happened. A write
// is never repeated if the service may have executed it. A read is repeated if the service
// closed an idle connection at that moment. The message of the store's own error is not sent
// to clients; it goes to [HandlerOptions.Logger].
//
// # The protocol
//
// Each method is a POST to its name under /v1/: insert, lookup, get, list, count,
// update, revoke, revoke_all, rotate, touch, revocations. Bodies are JSON of the
// type application/vnd.keyhatch.store+json. Digests are 64 hexadecimal digits in
// lower case. Times are whole microseconds since 1970-01-01 UTC, within the years 1
// to 9999; a time that means never is null or left out. Both sides accept only what
// encoding/json produces from these forms, byte for byte. The forms of version 1 do
// not change: an unknown field is refused.
//
//	insert      {"record":R,"limit":N}                            {"done":true}
//	lookup      {"digest":D}                                      {"record":R}
//	get         {"owner":S,"id":S}                                {"record":R}
//	list        {"owner":S,"after":{"created_at":T,"id":S},       {"records":[R],
//	             "limit":N,"filter":F,"at":T}                        "next":{"created_at":T,"id":S}}
//	count       {"owner":S,"at":T}                                {"count":N}
//	update      {"owner":S,"id":S,"change":{"at":T,"name":S,      {"record":R}
//	             "scopes":[S],"metadata":{S:S},
//	             "expires_at":T,"disabled_at":T}}
//	revoke      {"owner":S,"id":S,"at":T,"reason":S}              {"record":R,"changed":B}
//	revoke_all  {"owner":S,"at":T,"reason":S}                     {"records":[R]}
//	rotate      {"owner":S,"id":S,"next":{"id":S,"digest":D,      {"old":R,"now":R}
//	             "hint":S,"created_at":T},"old_ends_at":T,
//	             "limit":N}
//	touch       {"uses":[{"digest":D,"at":T}]}                    {"done":true}
//	revocations {}                                                {"lineage":S,"count":N}
//
// The first request of a list has no field "after", and the last response has no field
// "next". A change has only the fields that it sets; in a change, expires_at and
// disabled_at may be null, which sets them to never. A filter F is "current" or "ended",
// evaluated at the time in "at"; a request for all records has neither field. A service
// that does not know filters refuses a request with one. A record R is
//
//	{"id":S,"owner":S,"name":S,"hint":S,"created_by":S,"revoke_reason":S,
//	 "replaced_by":S,"digest":D,"scopes":[S],"metadata":{S:S},"created_at":T,
//	 "expires_at":T,"disabled_at":T,"revoked_at":T,"last_used_at":T}
//
// and leaves out its empty fields. A sentinel is {"code":C}: not_found and
// owner_mismatch with status 404, duplicate, limit and conflict with 409,
// unsupported with 501, and busy with 503. All other statuses have no body: 401 for
// a wrong secret, which is checked first, 404 for an unknown path, 405 for a wrong
// method, 415 for a wrong content type, 413 for a body that is too large, 400 for a
// malformed request, and 503 if the store fails.
//
// The header Keyhatch-Timeout may give the time in milliseconds after which the service
// ends the call to its store.
//
// A request has at most 128 KiB, which is enough for every record that a Manager
// creates, and at most 1,000 uses. A response has at most 64 KiB per record, and at
// most 64 MiB for revoke_all.
package remotestore
