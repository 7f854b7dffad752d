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
// By default only the texts are checked, and one mutant is tried;
// KEYHATCH_MUTANTS=1 tries all, which takes minutes.
func TestMutants(t *testing.T) {
	all := os.Getenv("KEYHATCH_MUTANTS") != ""
	seen := map[string]bool{}
	var killers killers
	for i, m := range slices.Concat(mutants, sqlMutants, instanceMutants, busMutants, ownerMutants) {
		if seen[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		seen[m.name] = true
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			mutated, err := m.mutate()
			if err != nil {
				t.Fatal(err)
			}
			if !all && i > 0 {
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

// killers are the tests that were seen to pass, each once.
type killers struct {
	mu   sync.Mutex
	seen map[string]func() error
}

func (k *killers) pass(m mutant) error {
	name := m.pkg + " " + m.run
	k.mu.Lock()
	if k.seen == nil {
		k.seen = map[string]func() error{}
	}
	if k.seen[name] == nil {
		k.seen[name] = sync.OnceValue(m.passesUnbroken)
	}
	pass := k.seen[name]
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

// passesUnbroken is an error when the tests fail anyway, or when there are
// none. What go test has cached will do.
func (m mutant) passesUnbroken() error {
	out, err := command("go", "test", "-timeout", "120s", "-run", m.run, m.pkg).CombinedOutput()
	switch {
	case err != nil:
		return fmt.Errorf("%s -run %q fails without the mutant: %w\n%s", m.pkg, m.run, err, out)
	case bytes.Contains(out, []byte("no test")):
		return fmt.Errorf("%s -run %q runs no test", m.pkg, m.run)
	}
	return nil
}

// kill demands that the mutant compiles and that a test fails.
func (m mutant) kill(t *testing.T, mutated []byte) {
	began := time.Now()
	binary := m.build(t, mutated)
	tests := command(binary, "-test.run", m.run, "-test.timeout", "60s", "-test.failfast")
	tests.Dir = filepath.Join(root, m.pkg) // as go test does
	out, err := tests.CombinedOutput()
	took := time.Since(began).Round(100 * time.Millisecond)
	if err == nil {
		t.Errorf("the mutant survived %s -run %q, in %v: no test notices\n%s", m.pkg, m.run, took, strings.Join(m.edits, "\n-->\n"))
		return
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !exit.Exited() {
		t.Fatalf("the tests did not come to an end: %v\n%s", err, out)
	}
	t.Logf("killed in %v by %s", took, symptom(out))
}

// build compiles the tests over the mutant. A mutant that does not compile
// shows nothing.
func (m mutant) build(t *testing.T, mutated []byte) (binary string) {
	t.Helper()
	dir := t.TempDir()
	broken, overlay, binary := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tests")
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
	if out, err := command("go", "test", "-c", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, m.pkg).CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, out)
	}
	return binary
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
