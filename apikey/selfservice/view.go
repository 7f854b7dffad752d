package selfservice

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A view is what the template shows. Which of its three pages that is goes by
// Confirm and Owner.
type view struct {
	Options
	T       map[string]string
	Dir     string
	Heading string // of the pages that are not the panel

	// Of the panel.
	Owner          bool
	Script, Prefix string // what panel.js is told: its texts, and with what it may begin tokens
	Done, Error    string
	Usage          string
	Notice         *notice
	MayCreate      bool
	Offered        []Scope
	Live, Over     listing

	// Of the page that asks before a key is revoked.
	Confirm *row
	Reason  string

	// Of the pages that only say why there is no other.
	Text, Link, LinkText string
}

// A notice says why something cannot be done, and what to do.
type notice struct{ Kind, Title, Text, Link string }

// A listing is a page of one of the two lists.
type listing struct {
	Rows          []row
	Newest, Older string // links; empty where there are no others
	Open          bool
}

// A row is a key.
type row struct {
	ID, Name, Hint, CreatedBy, Reason string
	Scopes                            []string
	Created, Used, Expires, Revoked   stamp
	Disabled, Replaced, Soon          bool
}

// soon is how long before its end a key is marked.
const soon = 7 * 24 * time.Hour

func rowOf(k apikey.Key, now time.Time) row {
	return row{
		ID: k.ID, Name: k.Name, Hint: k.Hint, CreatedBy: k.CreatedBy, Reason: k.RevokeReason, Scopes: k.Scopes,
		Created: stampOf(k.CreatedAt), Used: stampOf(k.LastUsedAt), Expires: stampOf(k.ExpiresAt), Revoked: stampOf(k.RevokedAt),
		Disabled: !k.DisabledAt.IsZero(), Replaced: k.ReplacedBy != "",
		Soon: !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(soon)),
	}
}

func rowsOf(keys []apikey.Key, now time.Time) []row {
	rows := make([]row, 0, len(keys))
	for _, k := range keys {
		rows = append(rows, rowOf(k, now))
	}
	return rows
}

// A stamp is an instant, for programs and for people. The latter is the same in
// every language; panel.js writes it in that of the page.
type stamp struct{ ISO, Text string }

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	t = t.UTC()
	return stamp{t.Format(time.RFC3339), t.Format("2006-01-02 15:04 UTC")}
}

// leftward are the languages that are written from right to left.
var leftward = []string{"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"}

func direction(lang string) string {
	primary, _, _ := strings.Cut(strings.ToLower(lang), "-")
	if slices.Contains(leftward, primary) {
		return "rtl"
	}
	return "ltr"
}

// link leads to other pages of the lists. It is relative, since nobody here knows
// where the page is.
func link(live, over, fragment string) string {
	q := url.Values{}
	if live != "" {
		q.Set("live", live)
	}
	if over != "" {
		q.Set("over", over)
	}
	s := "./"
	if len(q) > 0 {
		s += "?" + q.Encode()
	}
	return s + "#" + fragment
}

// The links of a list, for the template.
type pager struct{ Newest, NewestText, Older, OlderText, Label string }

func (v view) pager(p listing, label string) pager {
	return pager{p.Newest, v.T["newest"], p.Older, v.T["older"], v.T[label]}
}

// The end of a dialog, for the template.
type ending struct {
	ID, Text, Cancel string
	Danger           bool
}

func (v view) ending(id, text string) ending {
	return ending{id, text, v.T["cancel"], id == "revoke" || id == "leave"}
}
