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
	Limit      *int        `json:"limit"` // null if there is none
	AboveLimit int         `json:"above_limit"`
	Scopes     []scopeJSON `json:"scopes"`

	// Refused is the code of the problem that a creation would return now; null
	// if a key can be created.
	Refused *string `json:"refused"`

	// ClientPrefix is the prefix of tokens that a client makes itself; null if
	// only the service can make tokens.
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
	u, err := c.keys.Usage(c.r.Context(), c.who.owner)
	if err != nil {
		return 0, nil, err
	}
	v := usageJSON{
		Plan: u.Entitlement.Plan, Entitled: u.Entitled, ValidUntil: nullable(u.Entitlement.ValidUntil),
		Used: u.Used, AboveLimit: u.Excess, Scopes: []scopeJSON{},
	}
	if u.Entitlement.MaxKeys >= 0 {
		v.Limit = &u.Entitlement.MaxKeys
	}
	if u.Entitled {
		for _, s := range c.offered(u.Entitlement) {
			v.Scopes = append(v.Scopes, scopeJSON(s))
		}
	}
	if code := creationRefusal(u); code != "" {
		v.Refused = &code
	}
	if prefix, ok := c.keys.ClientPrefix(); ok {
		v.ClientPrefix = &prefix
	}
	return http.StatusOK, v, nil
}

// creationRefusal returns the code of the problem that a creation would return, or "".
func creationRefusal(u apikey.Usage) string {
	switch {
	case !u.Entitled:
		return notEntitled.code
	case u.AtLimit():
		return limitReached.code
	}
	return ""
}
