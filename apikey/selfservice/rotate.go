package selfservice

import (
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
	if err := c.creations.take(c.who.owner, time.Now()); err != nil {
		return 0, nil, err
	}
	if err := c.mayChange(nil); err != nil {
		return 0, nil, err
	}
	if *body.GraceSeconds > 0 {
		if err := c.overlaps(); err != nil {
			return 0, nil, err
		}
	}
	issued, err := c.keys.Rotate(c.r.Context(), c.who.owner, c.id, time.Duration(*body.GraceSeconds)*time.Second)
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
	detail: "The key before this one still works. Revoke that first, or rotate without a grace.",
}

// overlaps refuses a grace while the key that this one replaced is still in its
// own. A key in its grace does not count against the limit, so without this any
// number of them could work in one place of it.
func (c *call) overlaps() error {
	p := apikey.ListParams{Owner: c.who.owner, Part: apikey.PartLive}
	for {
		page, err := c.keys.List(c.r.Context(), p)
		if err != nil {
			return err
		}
		for _, k := range page.Keys {
			if k.ReplacedBy == c.id {
				return rotationOverlaps
			}
		}
		if page.Next == "" {
			return nil
		}
		p.Cursor = page.Next
	}
}
