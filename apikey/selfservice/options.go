package selfservice

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/keyhatch/keyhatch/entitlement"
)

// Options configure the handler. The zero value of each field is its default,
// and a nil *Options is all defaults.
type Options struct {
	// Title is the page's heading. Default "API keys".
	Title string

	// Lang is the language of Title and Texts, as in the lang attribute of
	// HTML; dates are written in it too. Default "en".
	Lang string

	// Texts replace texts of the page, by their names; see [Texts] for all of
	// them. New panics for a name that there is not.
	Texts map[string]string

	// Logo is the address of an image that stands beside the title, and
	// Stylesheet that of a stylesheet that is read after the page's own, to set
	// its custom properties. Both must be of the same origin as the page.
	Logo, Stylesheet string

	// BackURL is where the link above the title leads, SignInURL where those are
	// sent who are signed out, and UpgradeURL where a plan can be bought. There
	// is no such link where it is empty.
	BackURL, SignInURL, UpgradeURL string

	// Scopes are what a key may be given on the page, as far as the plan covers
	// them. Nil offers the scopes that the plan names, wildcards excepted. It is
	// what is offered: callers of the API may ask for any scope of the plan.
	Scopes []Scope

	// KeyScope is a scope that lets an API key manage its owner's keys by the JSON
	// API: create those that can do no more than itself, for no longer, and
	// change such as those; it may revoke all. Empty means that no API key can,
	// and requests that carry one are refused.
	KeyScope string

	// CreatedBy says who of an owner's people makes a key, such as the user in
	// an organisation; see [apikey.CreateParams]. Nil says nothing. Of a key
	// that is made with another one it is the id of that.
	CreatedBy func(*http.Request) string
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
	for _, s := range d.Scopes {
		if !entitlement.ValidScope(s.Name) {
			panic(fmt.Sprintf("selfservice: New: invalid scope %q", s.Name))
		}
	}
	d.Scopes = slices.Clone(d.Scopes)
	d.Texts = texts(d.Texts)
	return d
}
