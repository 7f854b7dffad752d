package requirements_test

import (
	"path"
	"regexp"
	"testing"
)

// P-02, T-01, M-08, advisory 33 (CVE-2025-47910): each module requires Go 1.25.1 or later.
// Earlier versions of http.CrossOriginProtection can be bypassed, and before Go 1.24
// crypto/rand could return an error.
func TestGoFloor(t *testing.T) {
	t.Parallel()
	modules := 0
	walkSource(t, func(file string) bool { return path.Base(file) == "go.mod" || path.Base(file) == "go.work" }, func(file string) {
		modules++
		text, err := readSource(file)
		if err != nil {
			t.Fatal(err)
		}
		if v := goVersion(text); !regexp.MustCompile(`^1\.(25\.([1-9]|\d\d)|(2[6-9]|[3-9]\d)(\.\d+)?)$`).MatchString(v) {
			t.Errorf("Go version that %s requires: got %q, want 1.25.1 or later", file, v)
		}
	})
	if modules < 7 {
		t.Errorf("modules and workspaces: got %d, want at least 7", modules)
	}
}

func goVersion(mod []byte) string {
	m := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if m == nil {
		return ""
	}
	return string(m[1])
}
