package selfservice

import (
	"net/http"
	"strconv"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxPage is the maximum number of keys on a page, as in [apikey.Manager.List].
const maxPage = 100

type pageJSON struct {
	Keys       []*keyJSON `json:"keys"`
	NextCursor *string    `json:"next_cursor"` // null on the last page
}

func list(c *call) (int, any, error) {
	q, err := c.query("cursor", "limit", "filter")
	if err != nil {
		return 0, nil, err
	}
	p := apikey.ListParams{Owner: c.who.owner, Cursor: q.Get("cursor")}
	if q.Has("limit") {
		p.Limit, err = strconv.Atoi(q.Get("limit"))
		if err != nil || p.Limit < 1 || p.Limit > maxPage {
			return 0, nil, badRequest("limit must be between 1 and 100")
		}
	}
	if p.Filter, err = parseFilter(q.Get("filter")); err != nil {
		return 0, nil, err
	}
	found, err := c.keys.List(c.r.Context(), p)
	if err != nil {
		return 0, nil, err
	}
	page := pageJSON{Keys: []*keyJSON{}}
	for _, k := range found.Keys {
		page.Keys = append(page.Keys, toJSON(k))
	}
	if found.Next != "" {
		page.NextCursor = &found.Next
	}
	return http.StatusOK, page, nil
}

func get(c *call) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	k, err := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, keyResponse{Key: toJSON(k)}, nil
}

// parseFilter returns the filter of the query parameter. "all" is the same as none.
func parseFilter(name string) (apikey.Filter, error) {
	switch f := apikey.Filter(name); f {
	case apikey.FilterAll, apikey.FilterCurrent, apikey.FilterEnded:
		return f, nil
	}
	if name == "all" {
		return apikey.FilterAll, nil
	}
	return "", badRequest("filter must be all, current or ended")
}
