package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestMain runs the program in place of the tests if PLANS is 1, so that tests can start
// it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("PLANS") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PLANS=1", secretVariable+"=")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestStory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plans.db")
	for run := range 2 { // the second run uses the file of the first
		out, err := program(t, "-db", file).Output()
		if err != nil || !bytes.HasSuffix(out, []byte("all steps passed\n")) || bytes.Count(out, []byte("ok    ")) != 26 {
			t.Errorf("run %d: %v\n%s", run, err, out)
		}
	}
}

func TestStoryReportsWrongStep(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &story{out: &out}
	s.step("right", 200, 200)
	s.step("wrong", 200, 403)
	if s.wrong != 1 || !strings.Contains(out.String(), "WRONG wrong") || !strings.Contains(out.String(), "200, want 403") {
		t.Errorf("got %d wrong steps and\n%s", s.wrong, &out)
	}
}

// The line that -serve prints works: it sends an event from another process.
func TestSend(t *testing.T) {
	t.Parallel()
	service := program(t, "-serve", "-db", filepath.Join(t.TempDir(), "plans.db"))
	stdout, err := service.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^(PLANS_SECRET=\S+) go run \S+ -to (\S+) -send purchase$`)
	var found []string
	for lines := bufio.NewScanner(stdout); found == nil && lines.Scan(); {
		found = line.FindStringSubmatch(lines.Text())
	}
	if found == nil {
		t.Fatal("the service did not print the line that sends an event")
	}
	newKey := func() int {
		resp, err := http.Post(found[2]+"/keys", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	before := newKey()
	script := program(t, "-send", "purchase", "-to", found[2])
	script.Env = append(script.Env, found[1])
	out, err := script.Output()
	if got := fmt.Sprintf("%d %s%d", before, out, newKey()); err != nil || got != "403 purchase: the service returned status 200\n200" {
		t.Errorf("a key before, the event and a key after: got %q, %v", got, err)
	}
	if err := service.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit status 0", err)
	}
}

// The output may be logged, so it must not contain a secret that others use too.
func TestServeDoesNotPrintGivenSecret(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	service := program(t, "-serve", "-db", filepath.Join(t.TempDir(), "plans.db"))
	service.Env = append(service.Env, secretVariable+"="+secret)
	stdout, err := service.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&out, lines.Text())
		if strings.HasPrefix(lines.Text(), "Stop with") {
			if err := service.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := service.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit status 0", err)
	}
	if strings.Contains(out.String(), secret) || !regexp.MustCompile(`(?m)^go run \S+ -to http://\S+ -send purchase$`).MatchString(out.String()) {
		t.Errorf("got\n%s\nwant the line that sends an event, without the secret", &out)
	}
}
