package databases_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// roles lists the functions that this binary can run as a separate process. A role gets each line
// of the input, and returns a line of output.
var roles = map[string]func(context.Context, *sqlstore.Store, string) (string, error){
	"create":     createRole,
	"live":       liveRole,
	"migrate":    migrateRole,
	"revoke all": revokeAllRole,
}

// play is the main function of such a process.
func play(role string) int {
	if err := answerLines(context.Background(), role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func answerLines(ctx context.Context, role string) error {
	db, err := sql.Open(os.Getenv("KEYHATCH_DRIVER"), os.Getenv("KEYHATCH_DSN"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(testkit.PoolSize)
	db.SetMaxIdleConns(testkit.PoolSize)
	s, err := sqlstore.New(db, sqlstore.Dialect(os.Getenv("KEYHATCH_DIALECT")), &sqlstore.Options{Schema: testkit.GetParam(os.Getenv("KEYHATCH_DSN"), "search_path")})
	if err != nil {
		return err
	}
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := roles[role](ctx, s, lines.Text())
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return nil
}

// A process plays a role.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	killed bool
}

// start starts a process and waits until it is ready. It ends with the test.
func start(t *testing.T, role, driver string, d sqlstore.Dialect, dsn string) *process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), "KEYHATCH_ROLE="+role, "KEYHATCH_DRIVER="+driver,
		"KEYHATCH_DIALECT="+string(d), "KEYHATCH_DSN="+dsn)
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
	p := &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && !p.killed && !t.Failed() {
			t.Errorf("the process %s: %v", role, err)
		}
	})
	if ready := p.answer(t); ready != "ready" {
		t.Fatalf("the process %s is not ready: %q", role, ready)
	}
	return p
}

// kill ends the process by SIGKILL.
func (p *process) kill() {
	p.killed = true
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *process) send(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
}

func (p *process) answer(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the process ended early: %v", p.out.Err())
	}
	return strings.TrimSpace(p.out.Text())
}
