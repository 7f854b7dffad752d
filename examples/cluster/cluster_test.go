package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

// TestMain runs the program in place of the tests if CLUSTER is set. The program
// starts itself again for each instance.
func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER") != "" {
		main()
		return
	}
	os.Exit(testserver.Run(m))
}

// The program prints the expected lines with each bus.
func TestCluster(t *testing.T) {
	want := regexp.MustCompile(`(?s)^instance A on http\S+\ninstance B on \S+\ninstance C on \S+\n\n` +
		`create on A: 201\nuse on B:    200\nuse on C:    200\nrevoke on A: 204, in \S+\nuse on B:    401, \S+ later\nuse on C:    401, \S+ later\n\n` +
		`5 revocations, .*: p50 \S+, p99 \S+, max \S+\n$`)
	postgres := testserver.PostgreSQL(t, pingPostgres)
	redis := testserver.Redis(t, pingRedis)
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

func pingPostgres(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func pingRedis(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
