package selfservice_test

import (
	"bytes"
	"os"
	"testing"
)

// P-04: the page's files are served as they are in the repository. They need no
// build, and people can read them.
func TestAssetsAreUnchanged(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for path, file := range map[string]string{"/panel.css": "panel/panel.css", "/panel.js": "panel/panel.js", "/openapi.json": "openapi.json"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if w := p.send("", "GET", path, ""); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), source) {
			t.Errorf("%s: got %d and %d bytes, want the %d of %s", path, w.Code, w.Body.Len(), len(source), file)
		}
		for n, line := range bytes.Split(source, []byte("\n")) {
			if len(line) > 400 {
				t.Errorf("%s:%d has %d bytes, want at most 400, since people read it", file, n+1, len(line))
			}
		}
	}
}
