package selfservice

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Options configure the handler. The zero value of each field is its default,
// and a nil *Options is all defaults.
type Options struct {
	// Title is the page's heading. Default "API keys".
	Title string

	// Lang is the language of Title and Texts by its tag, such as "de-CH" (BCP
	// 47); dates are written in it too. Default "en".
	Lang string

	// Texts replace texts of the page, by their names; see the function [Texts]
	// for all of them. New panics for a name that there is not.
	Texts map[string]string

	// Logo is the address of an image that stands beside the title, and
	// Stylesheet that of a stylesheet that is read after the page's own, to set
	// the custom properties that are listed at the top of panel.css. Both must be
	// of the same origin as the page, so New panics for one with a scheme or host.
	Logo, Stylesheet string

	// BackURL is where the link above the title leads, SignInURL where those are
	// sent who are signed out, and UpgradeURL where a plan can be bought. There
	// is no such link where it is empty.
	BackURL, SignInURL, UpgradeURL string

	// Scopes are what a key may be given, on the page and by the API, as far as
	// the plan covers them. Nil means what the plan names: the page leaves out
	// wildcards, and the API takes what they cover. A plan that names none, as
	// where there are no Entitlements, then gives none, and with that no key that
	// a route admits which requires a scope. Empty but not nil is none, too.
	Scopes []Scope

	// KeyScope is a scope that lets an API key manage its owner's keys by the JSON
	// API: create those that can do no more than itself, for no longer, and
	// change such as those, also where they were disabled; it may revoke all.
	// Metadata restricts nothing here. What it has made outlives it. Customers can
	// make such a key where it is in Scopes or in the plan. A request that carries
	// a key is the key's, also where somebody is signed in. Empty means that no
	// API key can, and requests that carry one are refused; the page always
	// refuses them.
	KeyScope string

	// CreatedBy says who of an owner's people makes a key, such as the user in
	// an organisation: up to 255 bytes without control characters. Nil says
	// nothing. For a key that is made with an API key it is the id of that.
	CreatedBy func(*http.Request) string

	// Logger is told of what only the host can mend, such as an owner that
	// cannot be one. Nil discards it.
	Logger *slog.Logger
}

// isLang reports whether s has the form of a tag of BCP 47. Browsers throw away a
// script that formats dates by another one.
func isLang(s string) bool {
	for i, part := range strings.Split(s, "-") {
		if part == "" || len(part) > 8 || strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9')
		}) {
			return false
		}
	}
	return true
}

// A Scope is what a key can be allowed to do.
type Scope struct {
	Name        string // such as "reports:read"
	Description string // for people; may be empty
}

// withDefaults panics for what a programmer got wrong.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Title == "" {
		d.Title = "API keys"
	}
	if d.Lang == "" {
		d.Lang = "en"
	}
	if d.KeyScope != "" && !entitlement.ValidScope(d.KeyScope) {
		panic(fmt.Sprintf("selfservice: New: invalid KeyScope %q", d.KeyScope))
	}
	if !isLang(d.Lang) {
		panic(fmt.Sprintf("selfservice: New: invalid Lang %q", d.Lang))
	}
	for _, address := range []string{d.Logo, d.Stylesheet} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "" || u.Host != "" {
			panic(fmt.Sprintf("selfservice: New: %q must be of the same origin, without a scheme and host", address))
		}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	for _, s := range d.Scopes {
		if !entitlement.ValidScope(s.Name) {
			panic(fmt.Sprintf("selfservice: New: invalid scope %q", s.Name))
		}
	}
	d.Scopes = slices.Clone(d.Scopes)
	d.Texts = texts(d.Texts)
	return d
}
