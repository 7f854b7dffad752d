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

// Options configure the handler. The zero value of each field means its default.
type Options struct {
	// Title is the page's heading. The default is "API keys".
	Title string

	// Lang is the language of Title and Texts, as a BCP 47 tag such as "de-CH". The
	// page also formats dates in it. The default is "en".
	Lang string

	// Texts replaces texts of the page, by name. The function [Texts] returns all
	// names. New panics if a name is unknown.
	Texts map[string]string

	// Logo is the address of an image next to the title. Stylesheet is the address
	// of a stylesheet that is applied after the page's own; it can set the custom
	// properties that are listed at the top of panel.css. Both must have the page's
	// origin: New panics if one has a scheme or a host. An empty address means
	// none.
	Logo, Stylesheet string

	// BackURL is the target of the link above the title. SignInURL is the target of the link for
	// people who are signed out. UpgradeURL is the target of the link to buy a plan. An empty URL
	// means no link.
	BackURL, SignInURL, UpgradeURL string

	// Scopes lists the scopes that a customer may give to a key, as far as the plan
	// covers them. Nil means the scopes that the plan names: the page omits
	// wildcards, and the API accepts the scopes that they cover. A plan that names
	// no scopes, or "*", then allows none, and so does a Manager without
	// Entitlements. Empty but not nil means none too. A key without scopes is
	// refused by every route that requires one.
	Scopes []Scope

	// KeyScope is the scope with which an API key can manage its owner's keys through the JSON
	// API. The key can create keys with no more scopes and no later expiry than its own, and can
	// update such keys, even to enable a disabled one. It can revoke every key. Metadata
	// restricts none of this. The keys that it created outlive it.
	//
	// Customers can create a key with this scope if the scope is in Scopes or in
	// the plan. A request with an API key acts for the key, even if there is a
	// session too. The page always refuses API keys. If KeyScope is empty, the
	// API refuses them too.
	KeyScope string

	// CreatedBy returns who creates a key, such as the user within an
	// organisation: up to 255 bytes without control characters. It is not called
	// if an API key creates the key; CreatedBy is then the API key's id. Nil
	// means that CreatedBy is empty.
	CreatedBy func(*http.Request) string

	// Logger logs errors that only the host can fix, such as an invalid owner.
	// Nil discards them.
	Logger *slog.Logger
}

// isLang reports whether s has the form of a BCP 47 tag. With any other string,
// the page's script fails when it formats dates.
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

// A Scope is a scope that customers may give to a key.
type Scope struct {
	Name        string // such as "reports:read"
	Description string // shown on the page; may be empty
}

// withDefaults panics if an option is invalid.
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
			panic(fmt.Sprintf("selfservice: New: Logo and Stylesheet must have no scheme and no host, got %q", address))
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
