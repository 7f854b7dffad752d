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
	"fill": fill, "around": splitText, "pages": view.pageLinks, "button": view.dialogButtons,
}).Parse(markup))

// pageSize is the number of keys that each list shows at once.
const pageSize = 50

// page serves people who are signed in. Without JavaScript, it shows and revokes
// keys.
func (h *handler) page(w http.ResponseWriter, r *http.Request, _ string) {
	if r.Method == http.MethodPost {
		body, err := readBody(w, r)
		if err != nil {
			body = nil // a form without an action is refused below
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	who, err := h.caller(r)
	switch {
	case err != nil:
		h.showFailure(w, err)
	case who.key != nil:
		h.showFailure(w, keyForbidden)
	case r.Method == http.MethodPost:
		h.revokeByForm(w, r, who.owner)
	case r.URL.Query().Has("revoke"):
		h.showConfirmation(w, r, who.owner, r.URL.Query().Get("revoke"), "", nil)
	default:
		h.showKeys(w, r, who.owner, http.StatusOK, "")
	}
}

// showKeys shows the owner's keys. The failure of the request, if any, is above them.
func (h *handler) showKeys(w http.ResponseWriter, r *http.Request, owner string, status int, failure string) {
	v := h.newView()
	v.Owner, v.Error = true, failure
	v.Script = scriptTexts(v.T)
	if prefix, ok := h.keys.ClientPrefix(); ok {
		v.Prefix = prefix
	}
	if r.URL.Query().Get("done") == "revoked" {
		v.Done = v.T["done"]
	}
	if err := h.readLists(r, owner, &v); err != nil {
		h.showFailure(w, err)
		return
	}
	h.readUsage(r, owner, &v)
	show(w, status, v)
}

// readLists reads a page of current keys and a page of ended keys. Each has a cursor
// of its own in the query.
func (h *handler) readLists(r *http.Request, owner string, v *view) error {
	q := r.URL.Query()
	current, nextCurrent, err := h.readList(r, owner, q.Get("current"), apikey.FilterCurrent, &v.Current)
	if err != nil {
		return err
	}
	ended, nextEnded, err := h.readList(r, owner, q.Get("ended"), apikey.FilterEnded, &v.Ended)
	if err != nil {
		return err
	}
	if current != "" {
		v.Current.Newest = listLink("", ended, "keys")
	}
	if nextCurrent != "" {
		v.Current.Older = listLink(nextCurrent, ended, "keys")
	}
	if ended != "" {
		v.Ended.Newest, v.Ended.Open = listLink(current, "", "ended"), true
	}
	if nextEnded != "" {
		v.Ended.Older = listLink(current, nextEnded, "ended")
	}
	return nil
}

// readList reads a page of keys, and returns its cursor and the cursor of the next page.
// If the cursor is invalid, or no keys follow it any more, readList reads the first
// page.
func (h *handler) readList(r *http.Request, owner, cursor string, filter apikey.Filter, l *keyList) (at, next string, err error) {
	params := apikey.ListParams{Owner: owner, Cursor: cursor, Limit: pageSize, Filter: filter}
	found, err := h.keys.List(r.Context(), params)
	if invalid := (*apikey.InvalidError)(nil); errors.As(err, &invalid) && cursor != "" {
		params.Cursor = ""
		found, err = h.keys.List(r.Context(), params)
	}
	if err == nil && len(found.Keys) == 0 && params.Cursor != "" {
		params.Cursor = ""
		found, err = h.keys.List(r.Context(), params)
	}
	l.Rows = newRows(found.Keys, time.Now())
	return params.Cursor, found.Next, err
}

// readUsage reads the owner's plan and usage. If they are not available, the page
// still shows the keys, since the owner may need to revoke one.
func (h *handler) readUsage(r *http.Request, owner string, v *view) {
	u, err := h.keys.Usage(r.Context(), owner)
	if err != nil {
		v.Notice = &notice{"warn", v.T["no_plan_title"], v.T["no_plan_text"], ""}
		return
	}
	used, limit := strconv.Itoa(u.Used), strconv.Itoa(u.Entitlement.MaxKeys)
	numbers := strings.NewReplacer("{used}", used, "{limit}", limit)
	v.Usage = numbers.Replace(v.T["usage"])
	if u.Entitlement.MaxKeys < 0 {
		v.Usage = numbers.Replace(v.T["usage_free"])
	}
	if u.Entitlement.Plan != "" {
		v.Usage += " · " + fill(v.T["plan"], "plan", u.Entitlement.Plan)
	}
	setNotice := func(kind, text string) {
		v.Notice = &notice{kind, v.T[text+"_title"], numbers.Replace(v.T[text+"_text"]), h.options.UpgradeURL}
	}
	switch {
	case !u.Entitled && u.Entitlement.APIAccess:
		setNotice("bad", "lapsed")
	case !u.Entitled:
		setNotice("bad", "no_access")
	case u.Excess > 0:
		setNotice("warn", "over")
	case u.AtLimit():
		setNotice("warn", "limit")
	default:
		v.MayCreate = true
	}
	v.Offered = h.offered(u.Entitlement)
	if !u.Entitled {
		v.Usage, v.Offered = "", nil
	}
}

// showConfirmation asks the owner to confirm a revocation. If the revocation has
// failed, it also shows why.
func (h *handler) showConfirmation(w http.ResponseWriter, r *http.Request, owner, id, reason string, failure error) {
	k, err := h.keys.Get(r.Context(), owner, id)
	v := h.newView()
	var status int
	switch invalid := (*apikey.InvalidError)(nil); {
	case errors.Is(err, apikey.ErrNotFound):
		h.showKeys(w, r, owner, http.StatusNotFound, v.T["error_not_found"])
		return
	case err != nil:
		h.showFailure(w, err)
		return
	case failure == nil:
		status = http.StatusOK
	case errors.As(failure, &invalid):
		status, v.Error = http.StatusBadRequest, v.T["error_invalid_reason"]
	default:
		p := problemOf(failure)
		setRetryAfter(w, p.wait)
		switch status = p.status; p {
		case notPropagated:
			v.Error = v.T["error_not_propagated"]
		case limited:
			v.Error = fill(v.T["error_too_many_requests"], "seconds", p.wait)
		default:
			v.Error = v.T["error_unavailable"]
		}
	}
	key := newRow(k, time.Now())
	v.Confirm, v.Reason = &key, reason
	v.Heading = fill(v.T["revoke_title"], "name", k.Name)
	show(w, status, v)
}

// revokeByForm revokes a key with the form of showConfirmation. Its redirect is
// relative: [http.Redirect] would make an absolute path, and [http.StripPrefix] may
// have removed the prefix of the path.
func (h *handler) revokeByForm(w http.ResponseWriter, r *http.Request, owner string) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("action") != "revoke" {
		h.showKeys(w, r, owner, http.StatusBadRequest, h.options.Texts["error_other"])
		return
	}
	id, reason := r.PostForm.Get("id"), strings.TrimSpace(r.PostForm.Get("reason"))
	if err := h.throttle(caller{owner: owner}, apikey.EventRevoked); err != nil {
		p := problemOf(err)
		setRetryAfter(w, p.wait)
		h.showKeys(w, r, owner, p.status, fill(h.options.Texts["error_too_many_requests"], "seconds", p.wait))
		return
	}
	switch _, err := h.keys.Revoke(r.Context(), owner, id, reason); {
	case err == nil:
		w.Header().Set("Location", "./?done=revoked")
		w.WriteHeader(http.StatusSeeOther)
	case errors.Is(err, apikey.ErrNotFound):
		h.showKeys(w, r, owner, http.StatusNotFound, h.options.Texts["error_not_found"])
	default:
		h.showConfirmation(w, r, owner, id, reason, err)
	}
}

// showFailure shows why the keys cannot be shown, and what to do.
func (h *handler) showFailure(w http.ResponseWriter, err error) {
	v := h.newView()
	setText := func(text, address, label string) {
		v.Heading, v.Text, v.Link, v.LinkText = v.T[text+"_title"], v.T[text+"_text"], address, v.T[label]
	}
	switch {
	case errors.Is(err, keyForbidden), errors.Is(err, apikey.ErrForbidden), errors.Is(err, apikey.ErrAmbiguous):
		setText("forbidden", "", "")
		show(w, http.StatusForbidden, v)
	case errors.Is(err, unauthorized), errors.Is(err, apikey.ErrUnauthenticated):
		setText("signed_out", h.options.SignInURL, "sign_in")
		show(w, http.StatusUnauthorized, v)
	default:
		p := problemOf(err)
		if p == internal { // the host's mistake
			h.options.Logger.Error("selfservice: request failed", slog.Any("error", err))
		}
		setRetryAfter(w, p.wait)
		setText("unavailable", "./", "retry")
		show(w, p.status, v)
	}
}

func (h *handler) newView() view {
	return view{Options: h.options, T: h.options.Texts, Dir: textDirection(h.options.Lang)}
}

// show executes the template before it writes anything, so that a failure does not
// leave half a page.
func show(w http.ResponseWriter, status int, v view) {
	var page bytes.Buffer
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	if err := panel.Execute(&page, v); err != nil {
		v.Logger.Error("selfservice: the page cannot be rendered", slog.Any("error", err))
		status = http.StatusInternalServerError
		page.Reset()
	}
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	w.Write(page.Bytes()) // net/http omits it for HEAD
}
