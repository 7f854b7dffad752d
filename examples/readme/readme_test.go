package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
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

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns the first fenced block of a language in README.
func block(t *testing.T, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readme(t), "```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("README has no block of %s", language)
	}
	return text
}

func TestReadmeHasThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if got := block(t, "go"); got != string(program) {
		t.Errorf("README's program differs from main.go:\n%s", got)
	}
}

// README's token is one that this program could have printed.
func TestReadmeToken(t *testing.T) {
	keys, err := apikey.New(memstore.New(), &apikey.Options{Prefix: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close(t.Context())
	for _, token := range regexp.MustCompile(`acme_\w+`).FindAllString(block(t, "console"), -1) {
		if _, err := keys.Validate(t.Context(), token); !errors.Is(err, apikey.ErrUnknown) {
			t.Errorf("Validate(%q): got %v, want ErrUnknown for a well-formed token", token, err)
		}
	}
}

// The program's responses are those in README.
func TestReadmeTranscript(t *testing.T) {
	addr := freeAddr(t)
	token := run(t, addr)
	calls := regexp.MustCompile(`(?m)^\$ curl (.*)localhost:8080(\S+)\n((?:[^$\n].*\n)*)`).FindAllStringSubmatch(block(t, "console"), -1)
	if len(calls) < 2 {
		t.Fatalf("calls in README: got %d, want one with a key and one without", len(calls))
	}
	for _, call := range calls {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+call[2], nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(call[1], "Authorization: Bearer ") {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		if got := get(t, req); got != call[3] {
			t.Errorf("$ curl %s%s%s\n got %s want %s", call[1], addr, call[2], got, call[3])
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run builds the program with another address, starts it, and returns the token that
// it prints.
func run(t *testing.T, addr string) (token string) {
	t.Helper()
	dir := t.TempDir()
	source, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, "main.go")
	overlay, _ := json.Marshal(map[string]any{"Replace": map[string]string{source: moved}})
	text = bytes.ReplaceAll(text, []byte("localhost:8080"), []byte(addr))
	for file, content := range map[string][]byte{moved: text, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	return lines.Text()
}

// get returns the body of a response. It waits until the program listens.
func get(t *testing.T, req *http.Request) string {
	t.Helper()
	for try := 0; ; try++ {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		if try == 100 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
