// Package selfservice lets the customers of a service manage their own API keys. It
// is one [http.Handler] with a page for people and a JSON API for programs:
//
//	mux.Handle("/settings/api-keys/", selfservice.New(keys, owner, nil))
//
// The function owner returns the signed-in customer, by the service's own session:
//
//	func owner(r *http.Request) (string, error) {
//		id, err := sessions.UserID(r) // "" if nobody is signed in
//		if err != nil {
//			return "", fmt.Errorf("%w: %w", apikey.ErrUnavailable, err)
//		}
//		return id, nil
//	}
//
// If your routes require scopes, list the scopes that customers may give to their
// keys in [Options.Scopes] or in the plan. Otherwise, keys have no scopes.
//
// # Mounting
//
// The handler can be mounted under any path of an [http.ServeMux], with
// [http.StripPrefix] or without. With another router, use StripPrefix, unless the
// router sets the Pattern of the [http.Request], as chi does.
//
// All links are relative, and the page's own address ends with a slash. With
// StripPrefix and a prefix without a slash, the address without the slash redirects
// to it, for example with chi:
//
//	r.Mount("/settings/api-keys", http.StripPrefix("/settings/api-keys", panel))
//
// Do not put the handler behind a middleware that removes trailing slashes.
//
// # The API
//
// The handler serves the OpenAPI description of the API as openapi.json. The owner
// of a request is the result of the owner function, or the owner of the API key. Unknown fields and
// parameters are refused, so that no client can believe that it chose an owner.
// Another owner's key is not found. Errors are problem details (RFC 9457) with a
// stable code.
//
// # Two ways to create
//
// Without [apikey.Options.MACKeys], a client can make the token itself. It sends the
// token's hint and digest, and the service never sees the token. The page does this: the
// token stays in the browser. For other clients, the service makes the token, and only
// the response to the creation contains it.
//
// With MACKeys, only the service can make tokens, since clients do not have the MAC key. The
// page then shows the token from the response. A hint or digest is refused with 400
// invalid_request. client_prefix in the response of usage is null.
//
// # Retries
//
// If the response to a creation is lost, the client cannot know whether the key
// exists. With the header Idempotency-Key, it can send the request again: of all
// requests of an owner with the same value, at any time and on any instance, only
// one creates a key.
//
//   - A client that made the token itself and sends the same digest again gets the
//     same response as the first time.
//   - Any other client gets 409 idempotency_key_used, with the key and without a
//     token, since only the lost response contained it. The client can rotate the
//     key to get a new token.
//
// The key's id is derived from the owner and the header. So a retry never counts
// against the limit twice, even if the first request used the last free place.
//
// # Safety
//
// [http.CrossOriginProtection] refuses writes from other sites. There is no CORS. All
// responses have a Content-Security-Policy that allows neither inline scripts nor framing.
// The API returns its errors as JSON, even to a browser.
//
// An owner can make 10 creations and rotations, 60 updates and 120 revocations a
// minute. Failed calls count too. All handlers of a Manager share these limits, and
// each instance of the service has its own; see [apikey.Manager.Throttle].
//
// A rotation has a grace period of at most 7 days. A rotation with a grace period is
// refused if more keys would then work than the limit allows.
package selfservice
