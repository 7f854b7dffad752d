package requirements_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// P-07: each requirement of ASVS 5.0, levels 1 and 2, has a line in ASVS.md. The line names
// the tests that check the requirement, or the party responsible for it, or says why it does
// not apply.
func TestASVS(t *testing.T) {
	var texts [3]string
	for i, name := range []string{"ASVS.md", "testdata/asvs_5.0.0.txt", "REQUIREMENTS.md"} {
		text, err := readSource(here + name)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	required := strings.Split(strings.TrimSpace(texts[1]), "\n")
	if len(required) != 253 { // 70 of level 1, and 183 of level 2
		t.Errorf("required IDs: got %d, want 253", len(required))
	}
	shown := map[string]bool{}
	rows, _ := parseRequirements(texts[2])
	for _, r := range rows {
		shown[r.id] = len(r.tests) > 0
	}
	for name := range testFunctions(t) {
		shown[name] = true
	}
	for _, fault := range asvsFaults(texts[0], required, shown) {
		t.Error(fault)
	}
}

var asvsLine = regexp.MustCompile(`(?m)^\| ([0-9.]+) \| ([^|]*)\| ?([^|]*?) ?\|$`)

// asvsFaults compares the page with the list of IDs, the requirements and the tests.
func asvsFaults(page string, required []string, shown map[string]bool) (faults []string) {
	report := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	used := map[string]bool{}
	for _, m := range asvsLine.FindAllStringSubmatch(page, -1) {
		id, by, note := m[1], strings.TrimSpace(m[2]), m[3]
		if _, twice := used[id]; twice {
			report("%s has two lines", id)
		}
		used[id] = false
		for name := range strings.SplitSeq(by, ", ") {
			if name != "" && !shown[name] {
				report("%s: %s has no test", id, name)
			}
		}
		if by == "" && len(strings.Fields(note)) < 4 {
			report("%s has neither a test nor a reason", id)
		}
	}
	if n := strings.Count(page, "\n| ") - strings.Count(page, "\n| id |"); n != len(used) {
		report("%d lines of tables do not belong to a requirement", n-len(used))
	}
	for _, text := range required {
		id, _, _ := strings.Cut(text, " ")
		chapter, _, _ := strings.Cut(id, ".")
		line := id
		for _, line = range []string{id, id[:strings.LastIndex(id, ".")], chapter} {
			if _, ok := used[line]; ok {
				break
			}
		}
		if _, ok := used[line]; !ok {
			report("%s has no line", id)
		}
		used[line] = true
	}
	for id, ok := range used {
		if !ok {
			report("%s is not a requirement of these levels", id)
		}
	}
	return faults
}

// The check of ASVS.md detects each kind of fault.
func TestASVSFaults(t *testing.T) {
	const page = "\n| id | shown by |\n| 1.1.1 | T-01, a.Test | |\n| 1.1 | | host: it is its own |\n| 2 | | none: nothing of it |\n"
	required, shown := []string{"1.1.1 L1", "1.1.2 L2", "2.1.1 L1"}, map[string]bool{"T-01": true, "a.Test": true}
	for name, c := range map[string]struct{ old, new, want string }{
		"none":             {"", "", ""},
		"no line":          {"| 2 |", "| 3 |", "2.1.1 has no line"},
		"line of nothing":  {"| 2 |", "| 3 | T-01 | |\n| 2 |", "3 is not a requirement"},
		"two lines":        {"| 2 |", "| 1.1 |", "1.1 has two lines"},
		"no such test":     {"a.Test", "a.Other", "1.1.1: a.Other has no test"},
		"no reason":        {"host: it is its own", "host", "1.1 has neither a test nor a reason"},
		"cell that is not": {"| 2 | |", "| 2 |", "1 lines of tables do not belong"},
	} {
		got := strings.Join(asvsFaults(strings.Replace(page, c.old, c.new, 1), required, shown), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
