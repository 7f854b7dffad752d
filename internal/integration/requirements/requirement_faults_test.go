package requirements_test

import (
	"fmt"
	"strings"
	"testing"
)

// The check of REQUIREMENTS.md detects each kind of fault.
func TestRequirementFaults(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString("## Token\n| T-01 | B | demand | a.TestA/works at night, go.mod: go 1 | |\n| T-02 | H | demand | | not built yet: no reader |\n")
	for kind, n := range map[string]int{"Invariants": 16, "Advisories": 34} {
		fmt.Fprintf(&page, "## %s\n", kind)
		for i := range n {
			fmt.Fprintf(&page, "| %d | x | demand | | a reason of words |\n", i+1)
		}
	}
	tests := map[string]function{
		"a.TestA": {"T-01: works.", []string{"works at night and by day"}},
		"a.TestB": {"No id", nil},
	}
	faults := func(edits ...string) []string {
		for i := 0; i < len(edits); i += 2 {
			if strings.Count(page.String(), edits[i]) == 0 {
				t.Fatalf("the page does not contain %q", edits[i])
			}
		}
		text := strings.NewReplacer(edits...).Replace(page.String())
		return requirementFaults(text, "T-01 B\nT-02 H\n", tests, func(path, text string) bool { return path == "go.mod" && text == "go 1" })
	}
	if got := faults(); len(got) > 0 {
		t.Fatalf("without a fault: got %q", got)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no line":             {"| T-02 | H |", "| T-03 | H |", "T-02 has no line"},
		"no advisory":         {"| 34 |", "| 35 |", "advisory 34 has no line"},
		"two lines":           {"| T-02 | H |", "| T-01 | B |", "T-01 has two lines"},
		"another severity":    {"| T-02 | H |", "| T-02 | M |", "severity of T-02: got M"},
		"no reason":           {"not built yet: no reader", "none", "has no reason"},
		"nothing":             {"not built yet: no reader", "", "neither a test nor an exception"},
		"no such test":        {"a.TestA/works at night", "a.TestC", "there is no test a.TestC"},
		"no such subtest":     {"works at night", "works by day", "has no subtest"},
		"no such text":        {"go.mod: go 1", "go.mod: go 2", "does not contain the text"},
		"test of another id":  {"a.TestA/works at night", "a.TestB", "no comment of the tests of T-01"},
		"line of no test":     {"a.TestA/works at night, go.mod: go 1", "", "the line of this requirement lists no test"},
		"id that has no line": {"| T-01 |", "| T-09 |", "a.TestA names T-01, which has no line"},
		"cell missing":        {"| demand | | not", "| not", "the line of T-02 must have these cells"},
	} {
		if got := strings.Join(faults(c.old, c.new), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
