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

// asset serves a file as it is, to everybody: it says nothing about anyone.
func asset(_ *handler, w http.ResponseWriter, r *http.Request, _ string) {
	name := path.Base(r.URL.Path)
	folder := "panel/"
	if name == "openapi.json" {
		folder = ""
	}
	content, err := assets.ReadFile(folder + name)
	if err != nil {
		refuse(w, internal)
		return
	}
	w.Header().Set("Content-Type", assetTypes[name])
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content) // net/http leaves it out for HEAD
}
