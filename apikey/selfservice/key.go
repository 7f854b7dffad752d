package selfservice

import (
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// keyJSON is a key as the API shows it. Its owner is who asks, and its metadata
// the host's.
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

func shown(k apikey.Key) *keyJSON {
	return &keyJSON{
		ID: k.ID, Name: k.Name, Hint: k.Hint, Status: k.Status(time.Now()), Scopes: append([]string{}, k.Scopes...),
		CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: instant(k.ExpiresAt), LastUsedAt: instant(k.LastUsedAt),
		DisabledAt: instant(k.DisabledAt), RevokedAt: instant(k.RevokedAt), RevokeReason: k.RevokeReason, ReplacedBy: k.ReplacedBy,
	}
}

// instant is null for never.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// one is an answer about a key. The token is there once, when it was made here.
type one struct {
	Key   *keyJSON `json:"key"`
	Token string   `json:"token,omitempty"`
}
