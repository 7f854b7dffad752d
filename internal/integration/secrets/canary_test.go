package secrets_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

// TestMain makes the test binary the process from which tokens must not leak.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KEYHATCH_CANARY"); dir != "" {
		if err := sing(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kept is a token that the process keeps on purpose, if a variable is set. It is the control:
// the search must find it.
var kept string

// parent receives the tokens.
var parent *os.File

// sing uses tokens in every way, sends them to its parent only, and dumps its memory.
func sing(dir string) error {
	ctx := context.Background()
	parent = os.NewFile(3, "parent")
	st, err := sqlitestore.Open(ctx, filepath.Join(dir, "keys.db"))
	if err != nil {
		return err
	}
	keys, err := apikey.New(st, &apikey.Options{
		MaxKeysPerOwner: -1,
		Headers:         []string{"Authorization", "X-API-Key"},
		MACKeys:         [][]byte{[]byte("0123456789abcdef0123456789abcdef")},
		Logger:          slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent:         func(_ context.Context, e apikey.Event) { fmt.Fprintf(os.Stderr, "event %+v %#v\n", e, e) },
	})
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- errors.Join(serveAll(ctx, keys), validateAll(ctx, keys)) }() // in a goroutine, whose stack is freed
	if err := <-failed; err != nil {
		return err
	}
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	dump, err := os.Create(filepath.Join(dir, "heap"))
	if err != nil {
		return err
	}
	debug.WriteHeapDump(dump.Fd())
	runtime.KeepAlive(kept)
	if err := dump.Close(); err != nil {
		return err
	}
	// Without a Close, the write-ahead log remains, so that it can be searched.
	return nil
}

func tell(secret apikey.Secret) {
	fmt.Fprintf(os.Stderr, "issued %v %+v %#v %s\n", secret, secret, secret, secret)
	parent.WriteString(secret.Reveal() + "\n")
}

// validateAll leaves two hundred keys in the cache. C-10.
func validateAll(ctx context.Context, keys *apikey.Manager) error {
	for i := range 200 {
		issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "canary", Name: fmt.Sprint("key ", i)})
		if err != nil {
			return err
		}
		token := strings.Clone(issued.Secret.Reveal())
		for range 500 {
			if _, err := keys.Validate(ctx, token); err != nil {
				return err
			}
		}
		if i == 0 && os.Getenv("KEYHATCH_KEEP") == "1" {
			kept = token
		}
		tell(issued.Secret)
	}
	return nil
}

// serveAll sends valid, invalid and forged tokens through the middleware, to handlers that log
// everything they get, and to one that panics with the principal.
func serveAll(ctx context.Context, keys *apikey.Manager) error {
	h := keys.Require("reports:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := apikey.PrincipalFromContext(r.Context())
		fmt.Fprintf(os.Stderr, "request %+v context %+v principal %+v %#v\n", r.Header, r.Context(), p, *p)
		if r.URL.Path == "/panic" {
			panic(fmt.Sprintf("%+v", *p))
		}
	}))
	send := func(path, header, value string) {
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(os.Stderr, "panic %v\n", p)
			}
		}()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Fprintf(os.Stderr, "response %d %v %s\n", w.Code, w.Header(), w.Body)
		_, err := keys.ValidateRequest(r)
		fmt.Fprintf(os.Stderr, "error %v %+v %#v\n", err, err, err)
	}
	for i, scopes := range [][]string{{"reports:read"}, nil} {
		issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "canary", Name: fmt.Sprint("served ", i), Scopes: scopes})
		if err != nil {
			return err
		}
		token := issued.Secret.Reveal()
		for _, path := range []string{"/", "/panic"} {
			send(path, "Authorization", "Bearer "+token)
			send(path, "X-API-Key", token)
			send(path, "Authorization", "Basic "+token)
			send(path, "Authorization", "Bearer "+token+"0")
			send(path, "Authorization", "Bearer "+token[:10]+"_"+token[11:])
			send(path, "Authorization", "Bearer "+token+"\n")
		}
		next, err := keys.Rotate(ctx, "canary", issued.Key.ID, 0)
		if err != nil {
			return err
		}
		send("/", "Authorization", "Bearer "+token)
		send("/", "X-API-Key", next.Secret.Reveal())
		tell(issued.Secret)
		tell(next.Secret)
	}
	return nil
}

// flock runs the process and returns the tokens that it sent, and the traces that it left, by
// name: its output, its database files and its memory.
func flock(t *testing.T, env ...string) (tokens []string, left map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), "KEYHATCH_CANARY="+dir), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &output, &output, []*os.File{write}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	told, err := io.ReadAll(read)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("%v\n%s", err, &output)
	}
	left = map[string][]byte{"output": output.Bytes()}
	for _, name := range []string{"keys.db", "keys.db-wal", "heap"} {
		if left[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Fields(string(told)), left
}

// traces returns the places and forms in which the token was found.
func traces(token string, left map[string][]byte) (found []string) {
	random := token[strings.LastIndexByte(token, '_')+1:][:30]
	forms := map[string]string{"text": random, "hex": hex.EncodeToString([]byte(random))}
	for shift := range 3 {
		// Characters that depend on their neighbours are left out.
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + random))
		forms[fmt.Sprint("base64 at ", shift)] = encoded[4*((shift+2)/3) : 36]
	}
	for name, content := range left {
		for form, text := range forms {
			if bytes.Contains(content, []byte(text)) {
				found = append(found, name+" as "+form)
			}
		}
	}
	return found
}

// T-10, H-10, C-10, advisories 21 and 30: a token is only in the return value of Create or
// Rotate.
func TestTokensAreNowhere(t *testing.T) {
	tokens, left := flock(t)
	if len(tokens) != 204 {
		t.Fatalf("got %d tokens, want 204", len(tokens))
	}
	for _, token := range tokens {
		for _, where := range traces(token, left) {
			t.Errorf("a token is in the process's %s: …%s", where, token[len(token)-6:])
		}
	}
	// Control: the searched files contain the expected texts.
	for name, sign := range map[string]string{
		"output": `"key":"key_`, "keys.db-wal": "canary", "heap": "go1.7 heap dump",
	} {
		if !bytes.Contains(left[name], []byte(sign)) {
			t.Errorf("%s does not contain %q", name, sign)
		}
	}
	for _, sign := range []string{"event", "response 200", "response 401", "response 403", "panic {text:", "issued [redacted]"} {
		if !bytes.Contains(left["output"], []byte(sign)) {
			t.Errorf("the output does not contain %q", sign)
		}
	}
}

// Control: the search finds a token that the process keeps on purpose.
func TestSearchFindsAToken(t *testing.T) {
	tokens, left := flock(t, "KEYHATCH_KEEP=1")
	var found int
	for _, token := range tokens {
		found += len(traces(token, left))
	}
	if found != 1 {
		t.Errorf("traces of the kept token: got %d, want 1", found)
	}
	for form, text := range map[string]string{
		"hex":    hex.EncodeToString([]byte("xx" + tokens[0] + "xx")),
		"base64": base64.StdEncoding.EncodeToString([]byte(tokens[0])),
		"shift1": base64.StdEncoding.EncodeToString([]byte("x" + tokens[0])),
		"shift2": base64.StdEncoding.EncodeToString([]byte("xx" + tokens[0])),
	} {
		if len(traces(tokens[0], map[string][]byte{"there": []byte(text)})) == 0 {
			t.Errorf("a token in %s was not found", form)
		}
	}
}
