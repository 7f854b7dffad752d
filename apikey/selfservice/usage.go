package selfservice

import (
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

type usageJSON struct {
	Plan       string      `json:"plan"`
	Entitled   bool        `json:"entitled"`
	ValidUntil *time.Time  `json:"valid_until"`
	Used       int         `json:"used"`
	Limit      *int        `json:"limit"` // null: none
	AboveLimit int         `json:"above_limit"`
	Scopes     []scopeJSON `json:"scopes"`

	// Refused is why no key can be created now, as the code of the problem that
	// it would be; null where one can.
	Refused *string `json:"refused"`

	// ClientPrefix is what tokens begin with that a client makes itself; null
	// where only the service can.
	ClientPrefix *string `json:"client_prefix"`
}

type scopeJSON struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func usage(c *call) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	o, err := c.keys.Usage(c.r.Context(), c.who.owner)
	if err != nil {
		return 0, nil, err
	}
	v := usageJSON{
		Plan: o.Entitlement.Plan, Entitled: o.Entitled, ValidUntil: instant(o.Entitlement.ValidUntil),
		Used: o.Used, AboveLimit: o.Excess, Scopes: []scopeJSON{},
	}
	if o.Entitlement.MaxKeys >= 0 {
		v.Limit = &o.Entitlement.MaxKeys
	}
	if o.Entitled {
		for _, s := range c.offered(o.Entitlement) {
			v.Scopes = append(v.Scopes, scopeJSON(s))
		}
	}
	if code := refusalOf(o); code != "" {
		v.Refused = &code
	}
	if prefix, ok := c.keys.ClientPrefix(); ok {
		v.ClientPrefix = &prefix
	}
	return http.StatusOK, v, nil
}

// refusalOf is why no key can be created now, or "".
func refusalOf(o apikey.Usage) string {
	switch {
	case !o.Entitled:
		return notEntitled.code
	case o.AtLimit():
		return limitReached.code
	}
	return ""
}
