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

	// Of a token that the client has made itself.
	Hint   *string `json:"hint"`
	Digest *string `json:"digest"`
}

func create(c *call) (int, any, error) {
	var body creation
	if err := c.body(&body); err != nil {
		return 0, nil, err
	}
	p := apikey.CreateParams{Owner: c.who.owner, Name: body.Name, Scopes: body.Scopes, CreatedBy: c.by(c.who, c.r)}
	if body.ExpiresAt != nil {
		if p.ExpiresAt = *body.ExpiresAt; p.ExpiresAt.IsZero() {
			return 0, nil, pastExpiry // or it would be for ever
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
	if err := c.mayCreate(p); err != nil {
		return 0, nil, err
	}
	var made one
	if token == nil {
		made, err = c.issue(p)
	} else {
		token.CreateParams = p
		made, err = c.register(*token)
	}
	if err != nil {
		return 0, nil, err
	}
	c.w.Header().Set("Location", "keys/"+url.PathEscape(made.Key.ID))
	return http.StatusCreated, made, nil
}

var pastExpiry = &problem{status: 400, code: "invalid_expires_at", detail: "It must be in the future."}

// idempotencyKey is what the header says, which may be in quotes, as the
// draft-ietf-httpapi-idempotency-key-header has it.
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
		return "", &problem{status: 400, code: fields["IdempotencyKey"], detail: "It must be there once, and not be empty."}
	}
	return key, nil
}

// mayCreate asks what the plan is, since the Manager takes any scope: one that the
// plan does not cover is worth nothing, until there is another plan.
func (c *call) mayCreate(p apikey.CreateParams) error {
	if len(p.Scopes) > 0 {
		o, err := c.keys.Usage(c.r.Context(), c.who.owner)
		if err != nil {
			return err
		}
		if !o.Entitled { // it may be by the time that the key is made
			return apikey.ErrNotEntitled
		}
		for _, s := range p.Scopes {
			if !c.grantable(o.Entitlement, s) {
				return &problem{status: 400, code: fields["Scopes"], detail: "There is one that a key cannot be given."}
			}
		}
	}
	if !c.who.mayHandOut(apikey.Key{Scopes: p.Scopes, ExpiresAt: p.ExpiresAt}) {
		return keyForbidden
	}
	return nil
}

// issue has the token made here.
func (c *call) issue(p apikey.CreateParams) (one, error) {
	issued, err := c.keys.Create(c.r.Context(), p)
	if errors.Is(err, apikey.ErrDuplicate) && issued.Key.ID != "" {
		return one{}, used(issued.Key)
	}
	if err != nil {
		return one{}, err
	}
	return one{shown(issued.Key), issued.Secret.Reveal()}, nil
}

// used tells of the key that an earlier request made.
func used(k apikey.Key) *problem {
	return &problem{
		status: 409, code: "idempotency_key_used", key: shown(k),
		detail: "An earlier request with this Idempotency-Key has made a key. Its token is not known here any more; rotate the key to get another.",
	}
}

// clientToken is what the client says of a token that it has made, or nil.
func (c *call) clientToken(body creation) (*apikey.RegisterParams, error) {
	if body.Hint == nil && body.Digest == nil {
		return nil, nil
	}
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
	p.Hint, err = c.hintOf(body.Hint)
	return &p, err
}

// register keeps the digest of a token that the client has made.
func (c *call) register(p apikey.RegisterParams) (one, error) {
	k, err := c.keys.Register(c.r.Context(), p)
	if errors.Is(err, apikey.ErrDuplicate) && k.ID != "" {
		return one{}, used(k)
	}
	if err != nil {
		return one{}, err
	}
	return one{Key: shown(k)}, nil
}

var badDigest = &problem{status: 400, code: fields["Digest"], detail: "It must be the SHA-256 of the token, in 64 lowercase hexadecimal digits."}

// hintLen is how much of a token is shown, behind its prefix.
const hintLen = 4

// hintOf takes the beginning of a token that this service would admit, so that
// nothing else is ever shown as one.
func (c *call) hintOf(text *string) (string, error) {
	prefix, ok := c.keys.ClientPrefix()
	if !ok {
		return "", malformed("Tokens are made by the service here: leave hint and digest out.")
	}
	bad := &problem{status: 400, code: fields["Hint"], detail: "It must be the prefix " + prefix + "_ and the four characters behind it."}
	if text == nil {
		return "", bad
	}
	rest, ok := strings.CutPrefix(*text, prefix+"_")
	if !ok || len(rest) != hintLen || strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		return "", bad
	}
	return *text, nil
}
