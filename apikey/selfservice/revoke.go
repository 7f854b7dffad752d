package selfservice

import (
	"net/http"

	"github.com/keyhatch/keyhatch/apikey"
)

type revocation struct {
	Reason string `json:"reason"`
}

func revoke(c *call) (int, any, error) {
	var body revocation
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if err := c.throttle(c.who, apikey.EventRevoked); err != nil {
		return 0, nil, err
	}
	if _, err := c.keys.Revoke(c.r.Context(), c.who.owner, c.id, body.Reason); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
