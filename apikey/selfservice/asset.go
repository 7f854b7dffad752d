package selfservice

import (
	"embed"
	"net/http"
	"path"
	"strconv"
)

//go:embed panel/panel.css panel/panel.js openapi.json
var assets embed.FS

var assetTypes = map[string]string{
	"panel.css": "text/css; charset=utf-8", "panel.js": "text/javascript; charset=utf-8", "openapi.json": "application/json",
}

// serveAsset serves a file unchanged. It needs no session, since the files contain
// nothing about any owner.
func serveAsset(w http.ResponseWriter, r *http.Request, _ string) {
	name := path.Base(r.URL.Path)
	folder := "panel/"
	if name == "openapi.json" {
		folder = ""
	}
	content, err := assets.ReadFile(folder + name)
	if err != nil {
		writeProblem(w, internal)
		return
	}
	w.Header().Set("Content-Type", assetTypes[name])
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content) // net/http omits it for HEAD
}
