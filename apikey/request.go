package apikey

import (
	"net/http"
	"strings"
)

// handOn calls next with in, which is a copy of r, without any credential in its
// headers. It leaves the headers of r as they are, since they are not ours to change
// (see [http.Handler]).
//
// net/http keeps some things on its own request, and would not find them on a copy.
// Above all, the server deletes the files of r.MultipartForm after the response. An
// HTTP/1 server does not do so after a panic, so handOn does.
func (m *Manager) handOn(w http.ResponseWriter, r, in *http.Request, next http.Handler) {
	in.Header = m.strip(r.Header)
	if r.Trailer == nil && r.ContentLength < 0 {
		r.Trailer = http.Header{} // the server adds trailers that were not announced
		in.Trailer = r.Trailer
	}
	parsed, panicked := r.MultipartForm != nil, true
	defer func() {
		giveBack(r, in)
		if panicked && !parsed && r.MultipartForm != nil {
			_ = r.MultipartForm.RemoveAll()
		}
	}()
	next.ServeHTTP(w, in)
	panicked = false
}

// giveBack sets those fields of r that net/http set in its copy. It writes only
// fields that differ: middlewares outside may still read the others.
func giveBack(r, in *http.Request) {
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
		givePathValues(r, in)
	}
}

// givePathValues sets the path values of in's pattern, as in "/keys/{id}", in r.
func givePathValues(r, in *http.Request) {
	for i, part := range strings.Split(in.Pattern, "{") {
		name, _, ok := strings.Cut(part, "}")
		if name = strings.TrimSuffix(name, "..."); i > 0 && ok && name != "$" {
			r.SetPathValue(name, in.PathValue(name))
		}
	}
}
