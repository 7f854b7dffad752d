package sqlitestore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

// roles lists the functions that the test binary runs if a test starts it as another
// process, on the file in KEYHATCH_FILE.
var roles = map[string]func(context.Context, *sqlitestore.Store) error{
	"open":  func(context.Context, *sqlitestore.Store) error { return nil },
	"limit": limitRole,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv("KEYHATCH_ROLE")]; role != nil {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role func(context.Context, *sqlitestore.Store) error) error {
	ctx := context.Background()
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil { // the start
		return err
	}
	s, err := sqlitestore.Open(ctx, os.Getenv("KEYHATCH_FILE"))
	if err != nil {
		return err
	}
	if err := role(ctx, s); err != nil {
		return err
	}
	return s.Close()
}

// A process is a child process with a role. It starts when it receives the first
// byte.
type process struct {
	*exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func start(t *testing.T, role, file string, env ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), append(env, "KEYHATCH_ROLE="+role, "KEYHATCH_FILE="+file)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd, in, bufio.NewScanner(out)}
}

func TestTenProcessesOpenOneNewFile(t *testing.T) {
	for round := range testkit.Scale(2, 50) {
		file := newFile(t)
		var ps []*process
		for range 10 {
			ps = append(ps, start(t, "open", file))
		}
		for _, p := range ps {
			fmt.Fprint(p.in, "!")
		}
		for _, p := range ps {
			if err := p.Wait(); err != nil {
				t.Errorf("round %d: one of ten processes could not open the new file: %v", round, err)
			}
		}
		insert(t, open(t, file), record("o", "k1"))
	}
}
