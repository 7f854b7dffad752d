package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// TestMain runs the program in place of the tests if CLUSTER is set. The program
// starts itself again for each instance.
func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER") != "" {
		main()
		return
	}
	os.Exit(testkit.Run(m))
}

// The program prints the expected lines with each bus.
func TestCluster(t *testing.T) {
	want := regexp.MustCompile(`(?s)^instance A on http\S+\ninstance B on \S+\ninstance C on \S+\n\n` +
		`create on A: 201\nuse on B:    200\nuse on C:    200\nrevoke on A: 204, in \S+\nuse on B:    401, \S+ later\nuse on C:    401, \S+ later\n\n` +
		`5 revocations, .*: p50 \S+, p99 \S+, max \S+\n$`)
	postgres := testkit.UsePostgreSQL(t)
	redis := testkit.UseRedis(t)
	for _, bus := range []string{"redis", "notify"} {
		t.Run(bus, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-postgres", postgres, "-redis", "redis://"+redis, "-bus", bus, "-rounds", "5")
			cmd.Env = append(os.Environ(), "CLUSTER=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || !want.Match(out) {
				t.Errorf("got %v and %q, want %s\n%s", err, out, want, &stderr)
			}
		})
	}
}

func TestUnknownBus(t *testing.T) {
	t.Parallel()
	if err := (setup{bus: "pigeon"}).play(t.Context(), &bytes.Buffer{}, 1); err == nil {
		t.Error("an unknown bus was accepted")
	}
}
