package apikey

import (
	"net/http"
	"strings"
)

// serveNext calls next with the request in, which must be a copy of r, and removes the
// credential from the copy's headers. It does not change the headers of r, which belong to the caller (see
// [http.Handler]).
//
// The server and routers use some fields of r after the handler has returned, so
// serveNext copies them back. In particular, the server deletes the files of
// r.MultipartForm after the response. An HTTP/1 server does not do so after a panic,
// so serveNext does.
func (m *Manager) serveNext(w http.ResponseWriter, r, in *http.Request, next http.Handler) {
	in.Header = m.strip(r.Header)
	if r.Trailer == nil && r.ContentLength < 0 {
		r.Trailer = http.Header{} // the server adds trailers that were not announced
		in.Trailer = r.Trailer
	}
	parsed, panicked := r.MultipartForm != nil, true
	defer func() {
		copyBack(r, in)
		if panicked && !parsed && r.MultipartForm != nil {
			_ = r.MultipartForm.RemoveAll()
		}
	}()
	next.ServeHTTP(w, in)
	panicked = false
}

// copyBack copies to r the fields that net/http has set in the copy, which is in. It writes
// only fields that differ, since outer middlewares may read the others.
func copyBack(r, in *http.Request) {
	if r.MultipartForm == nil && in.MultipartForm != nil {
		r.MultipartForm = in.MultipartForm
	}
	if r.Form == nil && in.Form != nil {
		r.Form = in.Form
	}
	if r.PostForm == nil && in.PostForm != nil {
		r.PostForm = in.PostForm
	}
	if r.Pattern != in.Pattern {
		r.Pattern = in.Pattern
		copyPathValues(r, in)
	}
}

// copyPathValues copies the path values of in's pattern, such as "/keys/{id}", to r.
func copyPathValues(r, in *http.Request) {
	for i, part := range strings.Split(in.Pattern, "{") {
		name, _, ok := strings.Cut(part, "}")
		if name = strings.TrimSuffix(name, "..."); i > 0 && ok && name != "$" {
			r.SetPathValue(name, in.PathValue(name))
		}
	}
}
