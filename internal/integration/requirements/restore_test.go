package requirements_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// the commands in SECURITY.md find revoked and rotated keys in a Manager's logs, and its
// program equals the one in the example.
func TestAfterARestore(t *testing.T) {
	page, err := readSource("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## After a restore\n")
	section, _, _ = strings.Cut(section, "\n## ")
	dir := t.TempDir()
	var log bytes.Buffer
	want := map[string]string{}
	for command, handler := range map[string]slog.Handler{"grep": slog.NewTextHandler(&log, nil), "jq": slog.NewJSONHandler(&log, nil)} {
		want[command] = endKeys(t, slog.New(handler))
		log.WriteString("no line of slog's\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "since.log"), log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, ended := range want {
		line := regexp.MustCompile(`(?m)^ *` + command + ` .*$`).FindString(section)
		if line == "" {
			t.Errorf("the page does not contain the command %s", command)
		}
		if _, err := exec.LookPath(command); err != nil {
			continue
		}
		c := exec.Command("sh", "-c", line)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "ended.tsv")); err != nil || string(got) != ended {
			t.Errorf("%s: got %q, %v, want %q", line, got, err, ended)
		}
	}

	example, err := readSource("apikey/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile(`(?s)for in\.Scan\(\) \{.*?// retry this key`)
	indentation := regexp.MustCompile(`(?m)^\s+`)
	bare := func(text string) string { return indentation.ReplaceAllString(program.FindString(text), "") }
	if got, want := bare(section), bare(string(example)); got != want || got == "" {
		t.Errorf("program on the page: got\n%s\nwant the example's\n%s", got, want)
	}
}

// endKeys revokes and rotates keys, and returns lines of their owners and IDs.
func endKeys(t *testing.T, log *slog.Logger) (lines string) {
	t.Helper()
	m, err := apikey.New(memstore.New(), &apikey.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	for _, owner := range []string{"user_1", "an owner", "Ünï"} {
		for _, end := range []func(id string) error{
			func(id string) error { _, err := m.Revoke(t.Context(), owner, id, "it leaked"); return err },
			func(id string) error { _, err := m.Rotate(t.Context(), owner, id, time.Hour); return err },
		} {
			issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "k"})
			if err != nil {
				t.Fatal(err)
			}
			if err := end(issued.Key.ID); err != nil {
				t.Fatal(err)
			}
			lines += owner + "\t" + issued.Key.ID + "\n"
		}
	}
	return lines
}
