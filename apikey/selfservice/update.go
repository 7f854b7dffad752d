package selfservice

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

type change struct {
	Name      *string         `json:"name"`
	Disabled  *bool           `json:"disabled"`
	ExpiresAt json.RawMessage `json:"expires_at"` // null means never; nil means unchanged
}

func update(c *call) (int, any, error) {
	var body change
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	p := apikey.UpdateParams{Name: body.Name, Disabled: body.Disabled}
	if body.ExpiresAt != nil {
		var at *time.Time
		if json.Unmarshal(body.ExpiresAt, &at) != nil || at != nil && at.IsZero() {
			return 0, nil, invalid("expires_at", "must be a time in the future in RFC 3339, or null")
		}
		p.ExpiresAt = new(time.Time)
		if at != nil {
			p.ExpiresAt = at
		}
	}
	if p.Name == nil && p.Disabled == nil && p.ExpiresAt == nil {
		return 0, nil, badRequest("the body must have at least one field")
	}
	if err := c.throttle(c.who, apikey.EventUpdated); err != nil {
		return 0, nil, err
	}
	if err := c.checkChange(p.ExpiresAt); err != nil {
		return 0, nil, err
	}
	k, err := c.keys.Update(c.r.Context(), c.who.owner, c.id, p)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, keyResponse{Key: toJSON(k)}, nil
}

// checkChange returns an error if the caller is an API key, and the key to change
// has more scopes or a later expiry, before or after the change. A nil expires means
// that the expiry does not change.
func (c *call) checkChange(expires *time.Time) error {
	if c.who.key == nil {
		return nil
	}
	k, err := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	if err != nil {
		return err
	}
	allowed := c.who.mayGrant(k)
	if expires != nil {
		k.ExpiresAt = *expires
		allowed = allowed && c.who.mayGrant(k)
	}
	if !allowed {
		return keyForbidden
	}
	return nil
}
