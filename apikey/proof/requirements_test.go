package proof_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	named  = regexp.MustCompile(`\b[THMCRE]-\d{2}\b`)
	listed = regexp.MustCompile(`(?m)^\| ([THMCRE]-\d{2}) \|`)
)

// The ids that tests name, and those that REQUIREMENTS.md explains, are the
// same.
func TestRequirementsAreNamedByTests(t *testing.T) {
	page, err := os.ReadFile("REQUIREMENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range listed.FindAllStringSubmatch(string(page), -1) {
		explained[m[1]] = true
	}
	if len(explained) < 50 {
		t.Fatalf("REQUIREMENTS.md explains %d ids, want all of them", len(explained))
	}
	inTests := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "requirements_test.go" {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "storetest") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, id := range named.FindAllString(string(text), -1) {
			inTests[id] = true
			if !explained[id] {
				t.Errorf("%s names %s, which REQUIREMENTS.md does not explain", path, id)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for id := range explained {
		if !inTests[id] {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("no test names %q, which REQUIREMENTS.md lists", missing)
	}
}
