package selfservice

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxGrace keeps an old token from working for so long that it was not replaced.
const maxGrace = 7 * 24 * time.Hour

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
		return 0, nil, &problem{status: 400, code: fields["grace"], detail: "It must be there: seconds, from 0 to those of 7 days."}
	}
	if err := c.throttle(c.who, apikey.EventRotated); err != nil {
		return 0, nil, err
	}
	if err := c.mayChange(nil); err != nil {
		return 0, nil, err
	}
	issued, err := c.keys.Rotate(c.r.Context(), c.who.owner, c.id, time.Duration(*body.GraceSeconds)*time.Second)
	if *body.GraceSeconds > 0 && errors.Is(err, apikey.ErrConflict) {
		err = c.conflict(err)
	}
	if err != nil {
		return 0, nil, err
	}
	if !c.who.mayHandOut(issued.Key) { // somebody widened it meanwhile
		if _, err := c.keys.Revoke(c.r.Context(), c.who.owner, issued.Key.ID, "rotated by a key that may do less"); err != nil {
			return 0, nil, err
		}
		return 0, nil, keyForbidden
	}
	c.w.Header().Set("Location", "../"+url.PathEscape(issued.Key.ID))
	return http.StatusCreated, rotated{one{shown(issued.Key), issued.Secret.Reveal()}, issued.Propagated}, nil
}

var rotationOverlaps = &problem{
	status: 409, code: "rotation_overlaps",
	detail: "More keys would work than the limit allows. Revoke the earlier key, or rotate without a grace period.",
}

// conflict tells a rotation that the limit forbids from one of a key that cannot
// be rotated.
func (c *call) conflict(err error) error {
	k, failed := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	switch {
	case failed != nil:
		return failed
	case !k.RevokedAt.IsZero(), !k.DisabledAt.IsZero(), k.ReplacedBy != "", !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(time.Now()):
		return err
	}
	return rotationOverlaps
}
