package selfservice

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxGrace is the longest grace period. With a longer one, the rotation would hardly
// end the old token.
const maxGrace = 7 * 24 * time.Hour

type rotation struct {
	GraceSeconds *int64 `json:"grace_seconds"`
}

type rotationResponse struct {
	keyResponse

	// Propagated is false if the change could not be published. Other instances
	// may then accept the old token for longer than the grace period.
	Propagated bool `json:"propagated"`
}

func rotate(c *call) (int, any, error) {
	var body rotation
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if body.GraceSeconds == nil || *body.GraceSeconds < 0 || *body.GraceSeconds > int64(maxGrace/time.Second) {
		return 0, nil, invalid("grace_seconds", "is required and must be between 0 and 604800")
	}
	if err := c.throttle(c.who, apikey.EventRotated); err != nil {
		return 0, nil, err
	}
	if err := c.checkChange(nil); err != nil {
		return 0, nil, err
	}
	issued, err := c.keys.Rotate(c.r.Context(), c.who.owner, c.id, time.Duration(*body.GraceSeconds)*time.Second)
	if *body.GraceSeconds > 0 && errors.Is(err, apikey.ErrConflict) {
		err = c.explainConflict(err)
	}
	if err != nil {
		return 0, nil, err
	}
	if !c.who.mayGrant(issued.Key) { // the key was extended after checkChange
		if _, err := c.keys.Revoke(c.r.Context(), c.who.owner, issued.Key.ID, "rotated by an API key with fewer scopes or an earlier expiry"); err != nil {
			return 0, nil, err
		}
		return 0, nil, keyForbidden
	}
	c.w.Header().Set("Location", "../"+url.PathEscape(issued.Key.ID))
	return http.StatusCreated, rotationResponse{keyResponse{toJSON(issued.Key), issued.Secret.Reveal()}, issued.Propagated}, nil
}

var rotationOverlaps = &problem{
	status: 409, code: "rotation_overlaps",
	detail: "more keys would work than the limit allows; revoke the earlier key, or rotate without a grace period",
}

// explainConflict returns rotationOverlaps if the limit is the reason for the
// conflict, and err if the key cannot be rotated at all.
func (c *call) explainConflict(err error) error {
	k, failed := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	switch {
	case failed != nil:
		return failed
	case !k.RevokedAt.IsZero(), !k.DisabledAt.IsZero(), k.ReplacedBy != "", !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(time.Now()):
		return err
	}
	return rotationOverlaps
}
