// Package selfservice lets the customers of a service manage their own API keys:
// a page for people and a JSON API for programs, as one [http.Handler] to mount
// beside the rest of the settings.
//
//	mux.Handle("/settings/api-keys/", selfservice.New(keys, owner, nil))
//
// where owner says who is signed in, by the service's own session:
//
//	func owner(r *http.Request) (string, error) {
//		id, err := sessions.UserID(r) // "" means that nobody is
//		if err != nil {
//			return "", fmt.Errorf("%w: %w", apikey.ErrUnavailable, err)
//		}
//		return id, nil
//	}
//
// Where routes require scopes, name those that customers may give to their keys in
// [Options.Scopes] or in the plan; otherwise keys have none.
//
// It can be mounted under any path, with [http.StripPrefix] or without, since it
// looks at the end of the path alone and all its links are relative. The page's
// own address ends with a slash. With chi that is
//
//	r.Mount("/settings/api-keys", http.StripPrefix("/settings/api-keys", panel))
//
// and a middleware that takes the slashes at the ends of paths away must not stand
// before it.
//
// # The API
//
// openapi.json, beside the page, describes it. All that a request may say is
// there: an unknown field or parameter is refused, so that nobody comes to believe
// that "owner" had an effect. The owner is what the callback says, and other
// owners' keys are not found. Errors are problem details (RFC 9457) with a stable
// code.
//
// # Two ways to create
//
// A client that makes the token itself sends its hint and digest, and the service
// never sees it; so does the page, where the token stays in the browser. For
// everybody else the service makes it, and the answer has it, that one time.
//
// # Trying again
//
// When the answer to a creation is lost, the client cannot tell whether there is a
// key. With the header Idempotency-Key it can just send the request again: of all
// requests of an owner with the same one, at any time and at any instance, only
// one makes a key. A client that made the token itself, and sends the same digest
// again, gets the key as the first time. One that did not gets 409 idempotency_key_used with the key in it and
// without a token. The token was in the lost answer alone; to keep it for a while
// would mean to store tokens, and to make another one silently would leave two
// keys where the customer knows of one. So the client is told, and can rotate the
// key, for a token that is shown, in the same place of the plan. The key's id is
// made of the owner and the header, so no store had to learn anything for this,
// and no retry takes a second place, also where the first took the last.
//
// # Safety
//
// Requests that change something and come from another site are refused, by
// [http.CrossOriginProtection]. All responses carry a Content-Security-Policy that
// allows neither inline script nor framing. There is no CORS. An owner can
// make ten creations and rotations a minute, 60 updates and 120 revocations. Calls
// that fail count too. All handlers of a Manager count together; each instance of
// the service counts for itself, see [apikey.Manager.Throttle]. The grace period of
// a rotation is at most 7 days and does not overlap with that of the one before. The API returns its refusals as JSON, also to a browser.
package selfservice
