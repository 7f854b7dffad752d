package selfservice

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A view is the data of the template. The template shows the confirmation if Confirm
// is set, the keys if Owner is true, and a failure otherwise.
type view struct {
	Options
	T       map[string]string
	Dir     string
	Heading string // heading of the page that confirms a form or reports a failure

	// For the keys.
	Owner          bool
	Script, Prefix string // for panel.js: its texts, and the prefix of tokens that it makes
	Done, Error    string
	Usage          string
	Notice         *notice
	MayCreate      bool
	Offered        []Scope
	Current, Ended keyList

	// For the confirmation of a revocation.
	Confirm *row
	Reason  string

	// For a failure.
	Text, Link, LinkText string
}

// A notice says why something cannot be done, and what to do.
type notice struct{ Kind, Title, Text, Link string }

// A keyList is a page of the current or the ended keys.
type keyList struct {
	Rows          []row
	Newest, Older string // links; empty if there are no such keys
	Open          bool
}

// A row shows a key.
type row struct {
	ID, Name, Hint, CreatedBy, Reason string
	Scopes                            []string
	Created, Used, Expires, Revoked   stamp
	Disabled, Replaced, Soon          bool
}

// expiresSoon is the time before its expiry in which a key is marked.
const expiresSoon = 7 * 24 * time.Hour

func newRow(k apikey.Key, now time.Time) row {
	return row{
		ID: k.ID, Name: k.Name, Hint: k.Hint, CreatedBy: k.CreatedBy, Reason: k.RevokeReason, Scopes: k.Scopes,
		Created: newStamp(k.CreatedAt), Used: newStamp(k.LastUsedAt), Expires: newStamp(k.ExpiresAt), Revoked: newStamp(k.RevokedAt),
		Disabled: !k.DisabledAt.IsZero(), Replaced: k.ReplacedBy != "",
		Soon: !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(expiresSoon)),
	}
}

func newRows(keys []apikey.Key, now time.Time) []row {
	rows := make([]row, 0, len(keys))
	for _, k := range keys {
		rows = append(rows, newRow(k, now))
	}
	return rows
}

// A stamp is an instant for programs and for people. Text is the same in every
// language; panel.js replaces it by the format of the page's language.
type stamp struct{ ISO, Text string }

func newStamp(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	t = t.UTC()
	return stamp{t.Format(time.RFC3339), t.Format("2006-01-02 15:04 UTC")}
}

// rightToLeft lists the languages that are written from right to left.
var rightToLeft = []string{"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"}

func textDirection(lang string) string {
	primary, _, _ := strings.Cut(strings.ToLower(lang), "-")
	if slices.Contains(rightToLeft, primary) {
		return "rtl"
	}
	return "ltr"
}

// listLink returns the address of other pages of the two lists, by their cursors. It
// is relative, since the handler does not know the address of the page.
func listLink(current, ended, fragment string) string {
	q := url.Values{}
	if current != "" {
		q.Set("current", current)
	}
	if ended != "" {
		q.Set("ended", ended)
	}
	s := "./"
	if len(q) > 0 {
		s += "?" + q.Encode()
	}
	return s + "#" + fragment
}

// pageLinks holds the links of a list, for the template.
type pageLinks struct{ Newest, NewestText, Older, OlderText, Label string }

func (v view) pageLinks(l keyList, label string) pageLinks {
	return pageLinks{l.Newest, v.T["newest"], l.Older, v.T["older"], v.T[label]}
}

// dialogButtons holds the buttons of a dialog, for the template.
type dialogButtons struct {
	ID, Text, Cancel string
	Danger           bool
}

func (v view) dialogButtons(id, text string) dialogButtons {
	return dialogButtons{id, text, v.T["cancel"], id == "revoke" || id == "leave"}
}
