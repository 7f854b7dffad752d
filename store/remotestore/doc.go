// Package remotestore is a [store.Store] over HTTP, for gateways that must not
// reach the database themselves. A central key service has the database and
// serves it with a [Handler]; the gateways have a [Store], which [New] makes,
// and a Manager of their own on top:
//
//	st, err := remotestore.New("https://keys.internal", secret, nil)
//	keys, err := apikey.New(st, nil)
//
// The service needs no Manager. The example of the package shows both sides.
// Validations are answered from each gateway's memory, so a round trip is paid
// for a key's first use and then once for each of its Options.CacheTTL.
//
// # The secret
//
// All gateways prove themselves by one secret of 32 to 1,024 random bytes,
// such as 32 of crypto/rand. It is sent in base64url as a Bearer token, and
// whoever has it can do all that a store can, for every owner: it is worth as
// much as the database's password. [HandlerOptions.OlderSecrets] lets it be
// replaced without downtime.
//
// TLS is the host's: the server's certificate where the handler is served, and
// client certificates or a CA of your own in [Options.TLS]. The handler
// belongs behind a server with ReadTimeout and IdleTimeout, the latter above
// half a minute, after which this package's own clients let go of a connection.
//
// # What is defended
//
// Tokens never come here; digests do. Whoever holds neither the secret nor the
// server's private key learns nothing and changes nothing. An answer is
// believed only when it has this package's content type and exactly the shape
// that its verb has, and belongs to the question: a page from a proxy, a bare
// 404, a redirect, another owner's record, a revocation that did not revoke,
// is an outage. Nothing is read beyond the bounds below.
//
// What is not defended: a service that lies with care. It can make up a record
// for any digest, or say that there is none. Nor does it know one gateway from
// another, or hold a gateway to some of the owners.
//
// # Errors
//
// The sentinels of package store arrive as themselves; all else is an outage,
// and says whether a write may have happened. A write is not sent again once the
// service may have acted on it. A read may be, when the service closed an idle
// connection at that moment. The text of the store's own error stays on the
// server, in [HandlerOptions.Logger].
//
// # The protocol
//
// Each method is a POST to its name under /v1/: insert, lookup, get, list, count,
// update, revoke, revoke_all, rotate, touch. Bodies are JSON of the type
// application/vnd.keyhatch.store+json. Digests are 64 hexadecimal digits in
// lower case; times are whole microseconds since 1970 began in UTC, within the
// years 1 to 9999; never is null, or left out. Both sides take nothing but what
// encoding/json makes of these shapes, byte for byte, and those of version 1 do
// not change: a field more is refused.
//
//	insert      {"record":R,"limit":N}                            {"done":true}
//	lookup      {"digest":D}                                      {"record":R}
//	get         {"owner":S,"id":S}                                {"record":R}
//	list        {"owner":S,"after":{"created_at":T,"id":S},       {"records":[R],
//	             "limit":N,"part":P,"at":T}                        "next":{"created_at":T,"id":S}}
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
//
// After and next are left out at the beginning and the end, and so are the
// fields of a change that it does not name; there null is never. A part P is
// "live" or "over" at the time beside it, and both are left out where all are
// asked for; a service that knows no parts refuses the question. A record R is
//
//	{"id":S,"owner":S,"name":S,"hint":S,"created_by":S,"revoke_reason":S,
//	 "replaced_by":S,"digest":D,"scopes":[S],"metadata":{S:S},"created_at":T,
//	 "expires_at":T,"disabled_at":T,"revoked_at":T,"last_used_at":T}
//
// without what is empty. A sentinel is {"code":C}: not_found and foreign_owner
// with status 404, duplicate, limit and conflict with 409. Without a body come
// 401 for a wrong secret, which is looked at first, 404 for an unknown path,
// 405, 415, 413 and 400 for what is no question, and 503 when the store failed.
//
// A question has at most 128 KiB, which is more than what a Manager lets into
// a record needs, and 1,000 uses; of an answer at most 64 KiB are read for each
// record, and 64 MiB of that to revoke_all.
package remotestore
