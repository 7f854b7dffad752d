package selfservice

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

//go:embed panel/panel.html
var markup string

var panel = template.Must(template.New("").Option("missingkey=error").Funcs(template.FuncMap{
	"fill": fill, "around": around, "pages": view.pager, "button": view.ending,
}).Parse(markup))

// pageSize is how many keys of each list are shown at once.
const pageSize = 50

// page serves people who are signed in. It works without a script, except for what
// the script alone can do.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		content, err := readBody(w, r)
		if err != nil {
			content = nil // a form without an action
		}
		r.Body = io.NopCloser(bytes.NewReader(content))
	}
	who, err := h.caller(r)
	switch {
	case err != nil:
		h.excuse(w, err)
	case who.key != nil:
		h.excuse(w, keyForbidden)
	case r.Method == http.MethodPost:
		h.posted(w, r, who.owner)
	case r.URL.Query().Has("revoke"):
		h.confirm(w, r, who.owner, r.URL.Query().Get("revoke"), "", nil)
	default:
		h.panel(w, r, who.owner, http.StatusOK, "")
	}
}

// panel shows the owner's keys, below what went wrong with the request.
func (h *handler) panel(w http.ResponseWriter, r *http.Request, owner string, status int, failure string) {
	v := h.view()
	v.Owner, v.Error = true, failure
	v.Script = scripted(v.T)
	if prefix, ok := h.keys.ClientPrefix(); ok {
		v.Prefix = prefix
	}
	if r.URL.Query().Get("done") == "revoked" {
		v.Done = v.T["done"]
	}
	if err := h.lists(r, owner, &v); err != nil {
		h.excuse(w, err)
		return
	}
	h.plan(r, owner, &v)
	show(w, status, v)
}

// lists reads both lists, each at its place.
func (h *handler) lists(r *http.Request, owner string, v *view) error {
	q := r.URL.Query()
	live, nextLive, err := h.list(r, owner, q.Get("live"), apikey.FilterCurrent, &v.Live)
	if err != nil {
		return err
	}
	over, nextOver, err := h.list(r, owner, q.Get("over"), apikey.FilterEnded, &v.Over)
	if err != nil {
		return err
	}
	if live != "" {
		v.Live.Newest = link("", over, "keys")
	}
	if nextLive != "" {
		v.Live.Older = link(nextLive, over, "keys")
	}
	if over != "" {
		v.Over.Newest, v.Over.Open = link(live, "", "ended"), true
	}
	if nextOver != "" {
		v.Over.Older = link(live, nextOver, "ended")
	}
	return nil
}

// list reads a page of keys and returns where it begins and where the next does. A
// place that cannot be one, as in an address that was cut off, is the beginning.
func (h *handler) list(r *http.Request, owner, cursor string, which apikey.Filter, p *listing) (at, next string, err error) {
	params := apikey.ListParams{Owner: owner, Cursor: cursor, Limit: pageSize, Filter: which}
	found, err := h.keys.List(r.Context(), params)
	if invalid := (*apikey.InvalidError)(nil); errors.As(err, &invalid) && cursor != "" {
		params.Cursor = ""
		found, err = h.keys.List(r.Context(), params)
	}
	if err == nil && len(found.Keys) == 0 && params.Cursor != "" { // all behind it are gone
		params.Cursor = ""
		found, err = h.keys.List(r.Context(), params)
	}
	p.Rows = rowsOf(found.Keys, time.Now())
	return params.Cursor, found.Next, err
}

// plan says what the plan allows. Where it cannot be found out the keys are shown
// all the same, since one of them may have to be revoked.
func (h *handler) plan(r *http.Request, owner string, v *view) {
	o, err := h.keys.Usage(r.Context(), owner)
	if err != nil {
		v.Notice = &notice{"warn", v.T["no_plan_title"], v.T["no_plan_text"], ""}
		return
	}
	used, limit := strconv.Itoa(o.Used), strconv.Itoa(o.Entitlement.MaxKeys)
	numbers := strings.NewReplacer("{used}", used, "{limit}", limit)
	v.Usage = numbers.Replace(v.T["usage"])
	if o.Entitlement.MaxKeys < 0 {
		v.Usage = numbers.Replace(v.T["usage_free"])
	}
	if o.Entitlement.Plan != "" {
		v.Usage += " · " + fill(v.T["plan"], "plan", o.Entitlement.Plan)
	}
	tell := func(kind, text string) {
		v.Notice = &notice{kind, v.T[text+"_title"], numbers.Replace(v.T[text+"_text"]), h.options.UpgradeURL}
	}
	switch {
	case !o.Entitled && o.Entitlement.APIAccess:
		tell("bad", "lapsed")
	case !o.Entitled:
		tell("bad", "no_access")
	case o.Excess > 0:
		tell("warn", "over")
	case o.AtLimit():
		tell("warn", "limit")
	default:
		v.MayCreate = true
	}
	v.Offered = h.offered(o.Entitlement)
	if !o.Entitled {
		v.Usage, v.Offered = "", nil
	}
}

// confirm asks before a key is revoked, and again when that has failed.
func (h *handler) confirm(w http.ResponseWriter, r *http.Request, owner, id, reason string, failed error) {
	k, err := h.keys.Get(r.Context(), owner, id)
	v := h.view()
	var status int
	switch invalid := (*apikey.InvalidError)(nil); {
	case errors.Is(err, apikey.ErrNotFound):
		h.panel(w, r, owner, http.StatusNotFound, v.T["error_not_found"])
		return
	case err != nil:
		h.excuse(w, err)
		return
	case failed == nil:
		status = http.StatusOK
	case errors.As(failed, &invalid):
		status, v.Error = http.StatusBadRequest, v.T["error_invalid_reason"]
	default:
		p := problemOf(failed)
		retryIn(w, p.wait)
		switch status = p.status; p {
		case notPropagated:
			v.Error = v.T["error_not_propagated"]
		case limited:
			v.Error = fill(v.T["error_too_many_requests"], "seconds", p.wait)
		default:
			v.Error = v.T["error_unavailable"]
		}
	}
	key := rowOf(k, time.Now())
	v.Confirm, v.Reason = &key, reason
	v.Heading = fill(v.T["revoke_title"], "name", k.Name)
	show(w, status, v)
}

// posted takes what the form of confirm sends. The address that it redirects to is
// relative, where [http.Redirect] would make it absolute by a path that may have
// lost its prefix.
func (h *handler) posted(w http.ResponseWriter, r *http.Request, owner string) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("action") != "revoke" {
		h.panel(w, r, owner, http.StatusBadRequest, h.options.Texts["error_other"])
		return
	}
	id, reason := r.PostForm.Get("id"), strings.TrimSpace(r.PostForm.Get("reason"))
	if err := h.throttle(caller{owner: owner}, apikey.EventRevoked); err != nil {
		p := problemOf(err)
		retryIn(w, p.wait)
		h.panel(w, r, owner, p.status, fill(h.options.Texts["error_too_many_requests"], "seconds", p.wait))
		return
	}
	switch _, err := h.keys.Revoke(r.Context(), owner, id, reason); {
	case err == nil:
		w.Header().Set("Location", "./?done=revoked")
		w.WriteHeader(http.StatusSeeOther)
	case errors.Is(err, apikey.ErrNotFound):
		h.panel(w, r, owner, http.StatusNotFound, h.options.Texts["error_not_found"])
	default:
		h.confirm(w, r, owner, id, reason, err)
	}
}

// excuse says why there is no panel, and what to do.
func (h *handler) excuse(w http.ResponseWriter, err error) {
	v := h.view()
	tell := func(text, address, label string) {
		v.Heading, v.Text, v.Link, v.LinkText = v.T[text+"_title"], v.T[text+"_text"], address, v.T[label]
	}
	switch {
	case errors.Is(err, keyForbidden), errors.Is(err, apikey.ErrForbidden), errors.Is(err, apikey.ErrAmbiguous):
		tell("forbidden", "", "")
		show(w, http.StatusForbidden, v)
	case errors.Is(err, unauthorized), errors.Is(err, apikey.ErrUnauthenticated):
		tell("signed_out", h.options.SignInURL, "sign_in")
		show(w, http.StatusUnauthorized, v)
	default:
		p := problemOf(err)
		if p == internal { // the host's mistake
			h.options.Logger.Error("selfservice: request failed", slog.Any("error", err))
		}
		retryIn(w, p.wait)
		tell("unavailable", "./", "retry")
		show(w, p.status, v)
	}
}

func (h *handler) view() view {
	return view{Options: h.options, T: h.options.Texts, Dir: direction(h.options.Lang)}
}

// show writes nothing until all of it is there, so that no half of a page goes out.
func show(w http.ResponseWriter, status int, v view) {
	var page bytes.Buffer
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	if err := panel.Execute(&page, v); err != nil {
		v.Logger.Error("selfservice: the page cannot be made", slog.Any("error", err))
		status = http.StatusInternalServerError
		page.Reset()
	}
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	w.Write(page.Bytes()) // net/http leaves it out for HEAD
}
