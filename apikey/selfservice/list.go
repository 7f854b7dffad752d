package selfservice

import (
	"net/http"
	"strconv"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxPage is how many keys the Manager lists at once.
const maxPage = 100

type pageJSON struct {
	Keys       []*keyJSON `json:"keys"`
	NextCursor *string    `json:"next_cursor"` // null: this was the last
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
			return 0, nil, malformed("limit must be 1 to 100.")
		}
	}
	if p.Filter, err = filterOf(q.Get("filter")); err != nil {
		return 0, nil, err
	}
	found, err := c.keys.List(c.r.Context(), p)
	if err != nil {
		return 0, nil, err
	}
	answer := pageJSON{Keys: []*keyJSON{}}
	for _, k := range found.Keys {
		answer.Keys = append(answer.Keys, shown(k))
	}
	if found.Next != "" {
		answer.NextCursor = &found.Next
	}
	return http.StatusOK, answer, nil
}

func get(c *call) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	k, err := c.keys.Get(c.r.Context(), c.who.owner, c.id)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, one{Key: shown(k)}, nil
}

// filterOf returns the filter of a query parameter, which may be "all".
func filterOf(name string) (apikey.Filter, error) {
	switch f := apikey.Filter(name); f {
	case apikey.FilterAll, apikey.FilterCurrent, apikey.FilterEnded:
		return f, nil
	}
	if name == "all" {
		return apikey.FilterAll, nil
	}
	return "", malformed("filter must be all, current or ended.")
}
