//go:build unix

package rediscache_test

import (
	"bufio"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A stopped server keeps its connections open and sends nothing.
func TestStoppedServer(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	c := open(t, address, &rediscache.Options{Timeout: timeout})
	r, lease := testkit.Receive(t, c), awaitWorking(t, c)
	pid := findPID(t, address)
	signal(t, pid, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	r.AwaitEnd("timeout")
	wantFailures(t, c, lease, "while the server is stopped")
	signal(t, pid, syscall.SIGCONT)
	awaitWorking(t, c)
	testkit.Receive(t, c)
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func findPID(t *testing.T, address string) int {
	t.Helper()
	info, err := newClient(t, address).Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(id))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the server does not report its process id")
	return 0
}
