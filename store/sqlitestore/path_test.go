package sqlitestore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"keys.db", "a b.db", "what?.db", "what?mode=memory", "#1.db", "100%.db", "%41.db", "a&b=c;d+e.db",
		"file:x.db", "'quoted\".db", "ключи.db", "back\\slash.db",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			insert(t, open(t, filepath.Join(dir, name)), record("o", "k1"))
			files, err := os.ReadDir(dir)
			if err != nil || len(files) != 3 {
				t.Fatalf("got files %v, error %v, want one file with its -wal and -shm", files, err)
			}
			for _, f := range files {
				if !strings.HasPrefix(f.Name(), name) {
					t.Errorf("the path must be taken literally: got file %q, want %q", f.Name(), name)
				}
			}
		})
	}
}

func TestRelativePathStaysWhereItWasOpened(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := open(t, "keys.db")
	t.Chdir(t.TempDir())
	insert(t, s, record("o", "k1"))
	if _, err := s.Get(t.Context(), "o", "k1"); err != nil {
		t.Errorf("a reader that connects after Chdir must use the same file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys.db")); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(dir string) string {
		return func(dir string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	for _, c := range []struct {
		name string
		path func(dir string) string
		want string
	}{
		{"no path", func(string) string { return "" }, "the path is empty"},
		{"URI", func(dir string) string { return "file:" + dir + "/keys.db?mode=ro" }, "must not be a URI"},
		{"memory", func(string) string { return ":memory:" }, "memstore"},
		{"missing folder", func(dir string) string { return dir + "/no/keys.db" }, "no such file or directory"},
		{"folder", func(dir string) string { return dir }, "not a regular file: its mode is d"},
		{"NUL byte", func(dir string) string { return dir + "/a\x00b" }, "invalid argument"},
		{"text file", write("notes.txt", strings.Repeat("shopping list\n", 100)), "file is not a database"},
		{"short text file", write("notes.txt", "shopping list"), "file is not a database"},
		{"dangling link", func(dir string) string {
			os.Symlink(dir+"/gone", dir+"/link")
			return dir + "/link"
		}, "no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := c.path(t.TempDir())
			before, _ := os.ReadFile(path)
			s, err := sqlitestore.Open(t.Context(), path)
			if err == nil {
				s.Close()
				t.Fatalf("Open(%q) succeeded, want an error with %q", path, c.want)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "sqlitestore: "+path) {
				t.Errorf("got %v, want an error with the path and %q", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Errorf("Open changed a file that it refused: got %q, want %q", after, before)
			}
		})
	}
}
