package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain runs the program in place of the tests if QUICKSTART is 1, so that tests can
// start it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUICKSTART=1")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestDemo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.db")
	for run := range 2 { // the second run uses the file of the first
		out, err := program(t, "-demo", "-db", file).Output()
		if err != nil || !bytes.HasSuffix(out, []byte("all steps passed\n")) {
			t.Errorf("run %d: %v\n%s", run, err, out)
		}
	}
}

func TestDemoReportsWrongStep(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := &demo{out: &out}
	d.step("right", "200", "200")
	d.step("wrong", "200", "401")
	if d.wrong != 1 || !strings.Contains(out.String(), "WRONG wrong") || !strings.Contains(out.String(), "200, want 401") {
		t.Errorf("got %d wrong steps and\n%s", d.wrong, &out)
	}
}

func TestUnusableFile(t *testing.T) {
	t.Parallel()
	cmd := program(t, "-db", t.TempDir())
	cmd.Stderr = nil
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("not a regular file")) {
		t.Errorf("got %v and %q, want exit status 1 and the reason", err, out)
	}
}

var (
	expected = regexp.MustCompile(`^# .*: (\d{3})$`)
	called   = regexp.MustCompile(`^curl -i (?:-H '(Authorization): (Bearer [^']+)' )?(http://\S+)$`)
)

// The printed calls return the printed statuses, and Ctrl-C ends the program with status
// 0.
func TestPrintedCalls(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.db")
	for range 2 { // the second run uses the file of the first
		cmd := program(t, "-db", file)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		statuses, signIn := pasteCalls(t, bufio.NewScanner(stdout))
		if got := strings.Join(statuses, " "); got != "200 401 401 403" {
			t.Errorf("got the statuses %s, want 200 401 401 403", got)
		}
		signInAndOpenPage(t, signIn)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(stdout)
		if err := cmd.Wait(); err != nil || !bytes.Contains(rest, []byte("stopping")) {
			t.Errorf("after Ctrl-C: got %v and %q, want exit status 0", err, rest)
		}
	}
}

// signInAndOpenPage signs in as a customer and opens the settings page.
func signInAndOpenPage(t *testing.T, address string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	resp, err := client.PostForm(address, url.Values{"as": {"ann"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("first key")) {
		t.Errorf("the page: got %d, %v and %s", resp.StatusCode, err, body)
	}
}

// pasteCalls makes the printed calls and checks each status against the one in the line
// before it.
func pasteCalls(t *testing.T, lines *bufio.Scanner) (statuses []string, signIn string) {
	t.Helper()
	want := ""
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
		if m := expected.FindStringSubmatch(lines.Text()); m != nil {
			want = m[1]
		}
		if strings.HasSuffix(lines.Text(), "/sign-in") {
			signIn = lines.Text()
		}
		m := called.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", m[3], nil)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] != "" {
			req.Header.Set(m[1], m[2])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := strconv.Itoa(resp.StatusCode)
		if got != want {
			t.Errorf("%s: got %s, want %s", lines.Text(), got, want)
		}
		statuses = append(statuses, got)
	}
	return statuses, signIn
}
