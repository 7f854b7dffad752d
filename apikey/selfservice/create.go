package selfservice

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

type creation struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`

	// Set if the client has made the token itself.
	Hint   *string `json:"hint"`
	Digest *string `json:"digest"`
}

func create(c *call) (int, any, error) {
	var body creation
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	p := apikey.CreateParams{Owner: c.who.owner, Name: body.Name, Scopes: body.Scopes, CreatedBy: c.createdBy(c.who, c.r)}
	if body.ExpiresAt != nil {
		if p.ExpiresAt = *body.ExpiresAt; p.ExpiresAt.IsZero() {
			return 0, nil, invalid("expires_at", "must be in the future") // zero would mean never
		}
	}
	var err error
	if p.IdempotencyKey, err = idempotencyKey(c.r.Header); err != nil {
		return 0, nil, err
	}
	token, err := c.clientToken(body)
	if err != nil {
		return 0, nil, err
	}
	if err := c.throttle(c.who, apikey.EventCreated); err != nil {
		return 0, nil, err
	}
	if err := c.checkCreation(p); err != nil {
		return 0, nil, err
	}
	var created keyResponse
	if token == nil {
		created, err = c.issue(p)
	} else {
		token.CreateParams = p
		created, err = c.register(*token)
	}
	if err != nil {
		return 0, nil, err
	}
	c.w.Header().Set("Location", "keys/"+url.PathEscape(created.Key.ID))
	return http.StatusCreated, created, nil
}

// idempotencyKey returns the value of the header, without the quotes that
// draft-ietf-httpapi-idempotency-key-header requires.
func idempotencyKey(h http.Header) (string, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if n := len(key); n > 1 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	if len(values) > 1 || key == "" {
		return "", invalid("Idempotency-Key", "must not be empty or repeated")
	}
	return key, nil
}

// checkCreation returns an error if the caller may not create such a key. It checks the scopes
// against the plan, since the Manager accepts every scope. A scope that the plan does not cover
// would start to work after a change of plan.
func (c *call) checkCreation(p apikey.CreateParams) error {
	if len(p.Scopes) > 0 {
		usage, err := c.keys.Usage(c.r.Context(), c.who.owner)
		if err != nil {
			return err
		}
		if !usage.Entitled { // the plan may change before Create checks it
			return apikey.ErrNotEntitled
		}
		for _, s := range p.Scopes {
			if !c.isGrantable(usage.Entitlement, s) {
				return invalid("scopes", "must only contain scopes that the service offers and the plan covers")
			}
		}
	}
	if !c.who.mayGrant(apikey.Key{Scopes: p.Scopes, ExpiresAt: p.ExpiresAt}) {
		return keyForbidden
	}
	return nil
}

// issue creates a key whose token the Manager makes.
func (c *call) issue(p apikey.CreateParams) (keyResponse, error) {
	issued, err := c.keys.Create(c.r.Context(), p)
	if errors.Is(err, apikey.ErrDuplicate) && issued.Key.ID != "" {
		return keyResponse{}, alreadyCreated(issued.Key)
	}
	if err != nil {
		return keyResponse{}, err
	}
	return keyResponse{toJSON(issued.Key), issued.Secret.Reveal()}, nil
}

// alreadyCreated returns the 409 problem for a reused Idempotency-Key. k is the key
// that the earlier request created.
func alreadyCreated(k apikey.Key) *problem {
	return &problem{
		status: 409, code: "idempotency_key_used", key: toJSON(k),
		detail: "an earlier request with this Idempotency-Key has created a key, whose token cannot be shown again; rotate the key to get a new token",
	}
}

// clientToken returns the parameters of a token that the client has made, or nil if
// the service is to make it.
func (c *call) clientToken(body creation) (*apikey.RegisterParams, error) {
	if body.Hint == nil && body.Digest == nil {
		return nil, nil
	}
	badDigest := invalid("digest", "must be the SHA-256 of the token, in 64 lower-case hexadecimal digits")
	var p apikey.RegisterParams
	text := ""
	if body.Digest != nil {
		text = *body.Digest
	}
	if len(text) != hex.EncodedLen(len(p.Digest)) || strings.ToLower(text) != text {
		return nil, badDigest
	}
	if _, err := hex.Decode(p.Digest[:], []byte(text)); err != nil || p.Digest.IsZero() {
		return nil, badDigest
	}
	var err error
	p.Hint, err = c.checkedHint(body.Hint)
	return &p, err
}

// register creates a key from the digest of a token that the client has made.
func (c *call) register(p apikey.RegisterParams) (keyResponse, error) {
	k, err := c.keys.Register(c.r.Context(), p)
	if errors.Is(err, apikey.ErrDuplicate) && k.ID != "" {
		return keyResponse{}, alreadyCreated(k)
	}
	if err != nil {
		return keyResponse{}, err
	}
	return keyResponse{Key: toJSON(k)}, nil
}

// hintLen is the number of characters of a hint after the prefix.
const hintLen = 4

// checkedHint returns the client's hint. It refuses a hint that no token of this
// service can have, so that a client cannot show other text as a hint.
func (c *call) checkedHint(hint *string) (string, error) {
	prefix, ok := c.keys.ClientPrefix()
	if !ok {
		return "", badRequest("this service makes all tokens itself: omit hint and digest")
	}
	bad := invalid("hint", "must be "+prefix+"_ and the next four characters of the token")
	if hint == nil {
		return "", bad
	}
	rest, ok := strings.CutPrefix(*hint, prefix+"_")
	if !ok || len(rest) != hintLen || strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		return "", bad
	}
	return *hint, nil
}
