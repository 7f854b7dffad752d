package selfservice

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxGrace keeps an old token from working for so long that it was not replaced.
const maxGrace = 366 * 24 * time.Hour

type rotation struct {
	GraceSeconds *int64 `json:"grace_seconds"`
}

type rotated struct {
	one

	// Propagated is false where other instances could not be told, and may take
	// the old token for longer than the grace.
	Propagated bool `json:"propagated"`
}

func rotate(c *call) (int, any, error) {
	var body rotation
	if err := c.body(&body); err != nil {
		return 0, nil, err
	}
	if body.GraceSeconds == nil || *body.GraceSeconds < 0 || *body.GraceSeconds > int64(maxGrace/time.Second) {
		return 0, nil, &problem{status: 400, code: fields["grace"], detail: "It must be there: seconds, from 0 to those of 366 days."}
	}
	if err := c.mayChange(nil); err != nil {
		return 0, nil, err
	}
	issued, err := c.keys.Rotate(c.r.Context(), c.who.owner, c.id, time.Duration(*body.GraceSeconds)*time.Second)
	told := !errors.Is(err, apikey.ErrNotPropagated)
	if err != nil && told {
		return 0, nil, err
	}
	c.w.Header().Set("Location", "../"+url.PathEscape(issued.Key.ID))
	return http.StatusCreated, rotated{one{shown(issued.Key), issued.Secret.Reveal()}, told}, nil
}
