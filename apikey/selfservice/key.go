package selfservice

import (
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// keyJSON is a key in a response. It omits the owner, who is the caller, and the
// metadata, which belongs to the host.
type keyJSON struct {
	ID           string        `json:"id"`
	Name         string        `json:"name"`
	Hint         string        `json:"hint"`
	Status       apikey.Status `json:"status"`
	Scopes       []string      `json:"scopes"`
	CreatedBy    string        `json:"created_by"`
	CreatedAt    time.Time     `json:"created_at"`
	ExpiresAt    *time.Time    `json:"expires_at"`
	LastUsedAt   *time.Time    `json:"last_used_at"`
	DisabledAt   *time.Time    `json:"disabled_at"`
	RevokedAt    *time.Time    `json:"revoked_at"`
	RevokeReason string        `json:"revoke_reason"`
	ReplacedBy   string        `json:"replaced_by"`
}

func toJSON(k apikey.Key) *keyJSON {
	return &keyJSON{
		ID: k.ID, Name: k.Name, Hint: k.Hint, Status: k.Status(time.Now()), Scopes: append([]string{}, k.Scopes...),
		CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: nullable(k.ExpiresAt), LastUsedAt: nullable(k.LastUsedAt),
		DisabledAt: nullable(k.DisabledAt), RevokedAt: nullable(k.RevokedAt), RevokeReason: k.RevokeReason, ReplacedBy: k.ReplacedBy,
	}
}

// nullable returns nil for the zero time, which means never.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// keyResponse is the body of a response about one key. Token is set only if the
// request has created the token.
type keyResponse struct {
	Key   *keyJSON `json:"key"`
	Token string   `json:"token,omitempty"`
}
