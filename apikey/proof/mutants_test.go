package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mutant is a deliberate break and the tests that must notice it.
type mutant struct {
	name  string
	file  string // from the root of the repository
	edits edits
	pkg   string // of the tests, from the root
	run   string // which of them; the narrower the quicker
}

// edits are old and new texts by turns. Each old text occurs exactly once, so
// that whoever changes the line is asked to look after the mutant too.
type edits []string

// root is the repository's.
const root = "../.."

// every break in the table is noticed by the tests named beside it.
//
// By default only the texts are checked, and one mutant is tried. KEYHATCH_MUTANTS
// set to 1/1 tries all, which takes some twenty minutes, and 2/3 the second of three
// parts.
func TestMutants(t *testing.T) {
	part, parts := 1, 1<<30
	if s := os.Getenv("KEYHATCH_MUTANTS"); s != "" {
		if n, err := fmt.Sscanf(s, "%d/%d", &part, &parts); n != 2 || err != nil || part < 1 || part > parts {
			t.Fatalf("KEYHATCH_MUTANTS is %q, want a part such as 1/1 or 2/3", s)
		}
	}
	seen := map[string]bool{}
	killers := killers{dir: t.TempDir()}
	for i, m := range slices.Concat(mutants, sqlMutants, hiddenMutants, instanceMutants, busMutants, planMutants, panelMutants, sourceMutants, simulationMutants, overloadMutants, failoverMutants, tenantMutants) {
		if seen[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		seen[m.name] = true
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			mutated, err := m.mutate()
			if err != nil {
				t.Fatal(err)
			}
			if i%parts != part-1 {
				return
			}
			t.Parallel() // while one is compiled, another one waits for its timeouts
			if err := killers.pass(m); err != nil {
				t.Fatal(err)
			}
			m.kill(t, mutated)
		})
	}
}

// killers are the tests as they are. Each must pass, once, and the binaries that
// hold them are built once.
type killers struct {
	dir string

	mu       sync.Mutex
	binaries map[string]func() (string, error)
	passed   map[string]func() error
}

func (k *killers) pass(m mutant) error {
	k.mu.Lock()
	if k.binaries == nil {
		k.binaries, k.passed = map[string]func() (string, error){}, map[string]func() error{}
	}
	build, ok := k.binaries[m.pkg]
	if !ok {
		binary := filepath.Join(k.dir, strconv.Itoa(len(k.binaries)))
		build = sync.OnceValues(func() (string, error) { return binary, m.compile(binary) })
		k.binaries[m.pkg] = build
	}
	pass, ok := k.passed[m.pkg+" "+m.run]
	if !ok {
		pass = sync.OnceValue(func() error { return m.passesUnbroken(build) })
		k.passed[m.pkg+" "+m.run] = pass
	}
	k.mu.Unlock()
	return pass()
}

// mutate returns the file's text with the break in it.
func (m mutant) mutate() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(m.edits); i += 2 {
		old, broken := []byte(m.edits[i]), []byte(m.edits[i+1])
		if n := bytes.Count(text, old); n != 1 {
			return nil, fmt.Errorf("the mutant is out of date: %s has this text %d times, want once:\n%s", m.file, n, old)
		}
		text = bytes.Replace(text, old, broken, 1)
	}
	return text, nil
}

// passesUnbroken is an error when the tests fail anyway, or when there are none.
func (m mutant) passesUnbroken(build func() (string, error)) error {
	binary, err := build()
	if err != nil {
		return err
	}
	out, err := m.tests(binary).CombinedOutput()
	switch {
	case err != nil:
		return fmt.Errorf("%s -run %q fails without the mutant: %w\n%s", m.pkg, m.run, err, out)
	case bytes.Contains(out, []byte("no tests to run")):
		return fmt.Errorf("%s -run %q runs no test", m.pkg, m.run)
	}
	return nil
}

// tests runs those that must notice, in the folder of their package, as go test
// does.
func (m mutant) tests(binary string) *exec.Cmd {
	c := command(binary, "-test.run", m.run, "-test.timeout", "300s", "-test.failfast")
	c.Dir = filepath.Join(root, m.pkg)
	return c
}

// compile builds the package's tests, quickly: to compile is most of what a mutant
// takes. So the package is not optimized, and what only a debugger needs is left out.
func (m mutant) compile(binary string, flags ...string) error {
	args := append([]string{"test", "-c", "-gcflags=-N -l", "-ldflags=-s -w", "-vet=off", "-o", binary}, flags...)
	if out, err := command("go", append(args, m.pkg)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not compile: %w\n%s", m.pkg, err, out)
	}
	return nil
}

// kill demands that the mutant compiles and that a test fails.
func (m mutant) kill(t *testing.T, mutated []byte) {
	began := time.Now()
	binary, overlay := m.build(t, mutated)
	compiled := time.Since(began).Round(100 * time.Millisecond)
	c := m.tests(binary)
	c.Env = append(c.Env, overlayVariable+"="+overlay)
	out, err := c.CombinedOutput()
	took := time.Since(began).Round(100 * time.Millisecond)
	if err == nil {
		t.Errorf("the mutant survived %s -run %q, in %v, %v of it to compile: no test notices\n%s", m.pkg, m.run, took, compiled, strings.Join(m.edits, "\n-->\n"))
		return
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !exit.Exited() {
		t.Fatalf("the tests did not come to an end: %v\n%s", err, out)
	}
	t.Logf("killed in %v, %v of it to compile, by %s", took, compiled, symptom(out))
}

// build compiles the tests over the mutant. A mutant that does not compile
// shows nothing.
func (m mutant) build(t *testing.T, mutated []byte) (binary, overlay string) {
	t.Helper()
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.go")
	overlay, binary = filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tests")
	original, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{broken: mutated, overlay: replace} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.compile(binary, "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return binary, overlay
}

// command runs in the root, with the short counts.
func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = root
	c.Env = append(os.Environ(), "KEYHATCH_SOAK=", "KEYHATCH_MUTANTS=")
	return c
}

var failure = regexp.MustCompile(`(?m)^ *--- FAIL: \S+|^panic: .{0,80}|^fatal error: .*`)

// symptom is how a failed run ended.
func symptom(out []byte) string {
	found := failure.FindAll(out, 4)
	return strings.TrimSpace(string(bytes.Join(found, []byte(", "))))
}
