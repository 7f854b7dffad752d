package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestServersLeaveNothingBehind(t *testing.T) {
	for _, c := range servers {
		for _, killed := range []bool{false, true} {
			if killed && c.engine.sweep == nil {
				continue // it leaves nothing except the folder
			}
			t.Run(fmt.Sprintf("%s/killed=%v", c.engine.name, killed), func(t *testing.T) {
				t.Parallel()
				var s *Server
				var segment string
				t.Run("used", func(t *testing.T) {
					s = c.start(t)
					segment = sharedMemory(t, s.folder)
					if killed {
						s.Kill()
					}
				})
				if s == nil {
					t.Skip("the server is missing")
				}
				if c.engine.ping(s.DSN()) == nil {
					t.Error("the server outlives its test")
				}
				if _, err := os.Stat(s.folder); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the server's folder still exists: %v", err)
				}
				if segment != "" && segments(t)[segment] {
					t.Errorf("the server's shared memory %s still exists", segment)
				}
			})
		}
	}
}

// sharedMemory returns the id of a PostgreSQL server's shared memory, or "" for other
// servers and on systems other than Linux.
func sharedMemory(t *testing.T, folder string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(postgresData(folder), "postmaster.pid"))
	if err != nil || runtime.GOOS != "linux" {
		return ""
	}
	number := strings.Fields(strings.Split(string(file), "\n")[6])[1]
	if !segments(t)[number] {
		t.Errorf("the server has no shared memory %s, so this test cannot fail", number)
	}
	return number
}

func segments(t *testing.T) map[string]bool {
	t.Helper()
	list, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		numbers[strings.Fields(line)[1]] = true
	}
	return numbers
}

const child = "KEYHATCH_TESTKIT_CHILD"

// When a test process is killed, its servers end too: the shared ones, and one of a
// single test.
func TestServersDieWithTheirProcess(t *testing.T) {
	if os.Getenv(child) != "" {
		for _, c := range servers {
			fmt.Println(c.shared(t))
		}
		fmt.Println(StartRedis(t).DSN())
		select {}
	}
	for _, c := range servers {
		if _, _, err := c.engine.find(); err != nil {
			skip(t, err.Error())
		}
	}
	folder := reachable(t)
	p := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	p.Env = append(os.Environ(), child+"=1", "TMPDIR="+folder,
		postgreSQL.variable+"=", mySQL.variable+"=", redis.variable+"=")
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var dsns []string
	for lines := bufio.NewScanner(out); len(dsns) <= len(servers) && lines.Scan(); {
		dsns = append(dsns, lines.Text())
	}
	running := left(t, folder)
	p.Process.Kill()
	p.Wait()
	if len(dsns) != len(servers)+1 || len(running) != len(dsns) {
		t.Fatalf("got servers %q in folders %q", dsns, running)
	}
	Await(t, "the folders are gone", func() bool { return len(left(t, folder)) == 0 })
	for i, dsn := range dsns {
		if servers[min(i, len(servers)-1)].engine.ping(dsn) == nil { // Redis comes last
			t.Errorf("%s outlives its test process", dsn)
		}
	}
}

// reachable returns a folder that the servers' users can reach, unlike t.TempDir.
func reachable(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "testkit-")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func left(t *testing.T, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "keyhatch-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
