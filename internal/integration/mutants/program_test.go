package mutants_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// A program is the test binary of a package with mutants.
type program struct {
	pkg     string
	files   map[string][]byte   // files that replace files of the repository, by path
	inserts map[string][]insert // inserts that add switchable mutants to files, by path

	once            sync.Once
	err             error
	binary, overlay string

	mu     sync.Mutex
	passed map[string]func() error
}

func newProgram(pkg string) *program {
	return &program{pkg: pkg, files: map[string][]byte{}, inserts: map[string][]insert{}, passed: map[string]func() error{}}
}

// build compiles the program into a folder, once.
func (p *program) build(dir string) error {
	p.once.Do(func() { p.err = p.compile(dir) })
	return p.err
}

// compile compiles the package quickly: without optimization and without debug information.
func (p *program) compile(parent string) error {
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		return err
	}
	p.binary, p.overlay = filepath.Join(dir, "tests"), filepath.Join(dir, "overlay.json")
	if err := p.writeOverlay(dir); err != nil {
		return err
	}
	out, err := command("go", "test", "-c", "-gcflags=-N -l", "-ldflags=-s -w", "-vet=off", "-overlay", p.overlay, "-o", p.binary, p.pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s does not compile: %w\n%s", p.pkg, err, out)
	}
	return nil
}

func (p *program) writeOverlay(dir string) error {
	files := maps.Clone(p.files)
	for name, inserts := range p.inserts {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		files[name] = withInserts(text, inserts)
		name, text = switchFile(name, text)
		files[name] = text
	}
	replace := map[string]string{}
	for name, text := range files {
		broken := filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(broken, text, 0o600); err != nil {
			return err
		}
		original, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			return err
		}
		replace[original] = broken
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(p.overlay, text, 0o600)
}

// tests returns the command that runs the matching tests in the folder of their package, as
// go test does.
func (p *program) tests(run string) *exec.Cmd {
	c := command(p.binary, "-test.run", run, "-test.timeout", "300s", "-test.failfast")
	c.Dir = filepath.Join(root, p.pkg)
	return c
}

// passes returns an error if the tests fail without a mutant, or if no test matches. It runs
// each test once.
func (p *program) passes(dir, run string) error {
	p.mu.Lock()
	pass := p.passed[run]
	if pass == nil {
		pass = sync.OnceValue(func() error { return p.checkPasses(dir, run) })
		p.passed[run] = pass
	}
	p.mu.Unlock()
	return pass()
}

func (p *program) checkPasses(dir, run string) error {
	if err := p.build(dir); err != nil {
		return err
	}
	out, err := p.tests(run).CombinedOutput()
	switch {
	case err != nil:
		return fmt.Errorf("%s -run %q fails without the mutant: %w\n%s", p.pkg, run, err, out)
	case bytes.Contains(out, []byte("no tests to run")):
		return fmt.Errorf("%s -run %q runs no test", p.pkg, run)
	}
	return nil
}
