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
	ExpiresAt json.RawMessage `json:"expires_at"` // null is never, and not the same as nothing
}

func update(c *call) (int, any, error) {
	var body change
	if err := c.body(&body); err != nil {
		return 0, nil, err
	}
	p := apikey.UpdateParams{Name: body.Name, Disabled: body.Disabled}
	if body.ExpiresAt != nil {
		var at *time.Time
		if json.Unmarshal(body.ExpiresAt, &at) != nil || at != nil && at.IsZero() {
			return 0, nil, &problem{status: 400, code: fields["ExpiresAt"], detail: "It must be a time of RFC 3339 in the future, or null."}
		}
		p.ExpiresAt = new(time.Time)
		if at != nil {
			p.ExpiresAt = at
		}
	}
	if p.Name == nil && p.Disabled == nil && p.ExpiresAt == nil {
		return 0, nil, malformed("There is nothing to change.")
	}
	if err := c.throttle(c.who, apikey.EventUpdated); err != nil {
		return 0, nil, err
	}
	if err := c.mayChange(p.ExpiresAt); err != nil {
		return 0, nil, err
	}
	k, err := c.keys.Update(c.r.Context(), c.who.owner, c.id, p)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, one{Key: shown(k)}, nil
}

// mayChange is about a key that may come to more than the one that the caller has,
// as it is and as it would be.
func (c *call) mayChange(expires *time.Time) error {
	if c.who.key == nil {
		return nil
	}
	k, err := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	if err != nil {
		return err
	}
	allowed := c.who.mayHandOut(k)
	if expires != nil {
		k.ExpiresAt = *expires
		allowed = allowed && c.who.mayHandOut(k)
	}
	if !allowed {
		return keyForbidden
	}
	return nil
}
