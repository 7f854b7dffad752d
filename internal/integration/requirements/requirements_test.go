package requirements_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// P-08: every requirement, invariant and advisory has a line in REQUIREMENTS.md. The line
// names existing tests whose comments have the ID, or says why there is none.
func TestRequirements(t *testing.T) {
	page, err := readSource(here + "REQUIREMENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	required, err := readSource(here + "testdata/required_ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(required), "\n"); n < 112 {
		t.Errorf("required IDs: got %d, want at least 112", n)
	}
	for _, fault := range requirementFaults(string(page), string(required), testFunctions(t), fileHas) {
		t.Error(fault)
	}
}

func fileHas(path, text string) bool {
	content, err := readSource(path)
	return err == nil && strings.Contains(string(content), text)
}

// A requirement is one line of REQUIREMENTS.md.
type requirement struct {
	id, severity string
	tests        []string
	exception    string
}

var (
	plural  = map[string]string{"## Invariants": "invariant ", "## Advisories": "advisory "}
	line    = regexp.MustCompile(`^\| ?([A-Z]-\d{2}|\d+) ?\|(.*)\|$`)
	ids     = regexp.MustCompile(`\b[THMCREPLO]-\d{2}\b`)
	aside   = regexp.MustCompile(`\((CVE|GHSA|better-auth|Okta|crates)[^)]*\)`)
	counted = regexp.MustCompile(`(?i)\b(invariant|advisor(?:y|ies))s?\s+(\d+(?:(?:\s*,\s*|\s+and\s+)\d+)*)`)
	number  = regexp.MustCompile(`\d+`)
)

func parseRequirements(page string) (rows []requirement, faults []string) {
	section := ""
	for text := range strings.Lines(page) {
		text = strings.TrimRight(text, "\n")
		if strings.HasPrefix(text, "## ") {
			section = plural[text]
		}
		m := line.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		cells := strings.Split(m[2], "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 4 || cells[1] == "" {
			faults = append(faults, fmt.Sprintf("the line of %s must have these cells: id, severity or name, demand, tests, exception", m[1]))
			continue
		}
		r := requirement{id: section + m[1], severity: cells[0], exception: cells[3]}
		if cells[2] != "" {
			r.tests = strings.Split(cells[2], ", ")
		}
		rows = append(rows, r)
	}
	return rows, faults
}

// requirementFaults compares the page with the list of IDs and with the tests.
func requirementFaults(page, required string, tests map[string]function, fileHas func(path, text string) bool) []string {
	rows, faults := parseRequirements(page)
	report := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	byID := map[string]requirement{}
	for _, r := range rows {
		if _, twice := byID[r.id]; twice {
			report("%s has two lines", r.id)
		}
		byID[r.id] = r
		faults = append(faults, r.faults(tests, fileHas)...)
	}
	for want := range strings.Lines(required) {
		id, severity, _ := strings.Cut(strings.TrimSpace(want), " ")
		if r, ok := byID[id]; !ok {
			report("%s has no line", id)
		} else if r.severity != severity {
			report("severity of %s: got %s, want %s", id, r.severity, severity)
		}
	}
	for kind, n := range map[string]int{"invariant": 16, "advisory": 34} {
		for i := 1; i <= n; i++ {
			if _, ok := byID[fmt.Sprint(kind, " ", i)]; !ok {
				report("%s %d has no line", kind, i)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		for id := range namedIDs(tests[name].comments) {
			if r, ok := byID[id]; !ok {
				report("%s names %s, which has no line", name, id)
			} else if len(r.tests) == 0 {
				report("%s names %s, but the line of this requirement lists no test: add the test to the line", name, id)
			}
		}
	}
	return faults
}

// faults returns the faults of one line.
func (r requirement) faults(tests map[string]function, fileHas func(path, text string) bool) (all []string) {
	report := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if len(r.tests) == 0 && r.exception == "" {
		report("%s has neither a test nor an exception", r.id)
	}
	if r.exception != "" && len(strings.Fields(r.exception)) < 3 {
		report("the exception of %s has no reason: %q", r.id, r.exception)
	}
	named, functions := false, 0
	for _, test := range r.tests {
		if path, text, ok := strings.Cut(test, ": "); ok {
			if !fileHas(path, text) {
				report("%s: %s does not contain the text %q", r.id, path, text)
			}
			continue
		}
		functions++
		name, sub := splitTest(test)
		f, ok := tests[name]
		if !ok {
			report("%s: there is no test %s", r.id, name)
		} else if sub != "" && !slices.ContainsFunc(f.literals, func(s string) bool { return strings.HasPrefix(s, sub) }) {
			report("%s: %s has no subtest %q", r.id, name, sub)
		}
		named = named || namedIDs(f.comments)[r.id]
	}
	if functions > 0 && !named {
		report("no comment of the tests of %s names it", r.id)
	}
	return all
}

// splitTest splits folder.Function/subtest.
func splitTest(test string) (name, sub string) {
	dot := strings.LastIndex(test, ".")
	if slash := strings.Index(test[dot+1:], "/"); slash >= 0 {
		return test[:dot+1+slash], strings.ReplaceAll(test[dot+2+slash:], "_", " ")
	}
	return test, ""
}

// namedIDs returns the IDs in a comment.
func namedIDs(comment string) map[string]bool {
	found := map[string]bool{}
	for _, id := range ids.FindAllString(comment, -1) {
		found[id] = true
	}
	for _, m := range counted.FindAllStringSubmatch(aside.ReplaceAllString(comment, ""), -1) {
		for _, n := range number.FindAllString(m[2], -1) {
			found[strings.Replace(strings.ToLower(m[1]), "ies", "y", 1)+" "+n] = true
		}
	}
	return found
}
