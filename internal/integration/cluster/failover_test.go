package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// invariant 1: the primary crashes, and an asynchronous standby without the last
// revocation takes over. The process that revoked the key still refuses it, and reports the
// lost revocation at the first look-up. A process that starts afterwards accepts the key,
// but detects the loss by the count in the shared cache.
func TestStandbyThatLags(t *testing.T) {
	t.Parallel()
	primary, standby := replicated(t)
	address := testkit.UseRedis(t)
	namespace := testkit.NewName()
	both := testkit.AddressOf(primary.DSN()) + "," + testkit.AddressOf(standby.DSN())
	st, err := pgstore.Open(t.Context(), testkit.SetAddress(primary.DSN(), both), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	secret := bytes.Repeat([]byte("s"), rediscache.MinSecret)
	shared, err := rediscache.Open(t.Context(), "redis://"+address, secret, &rediscache.Options{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()

	revoking := startProcess(t, st, nil)
	issued, err := revoking.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	written := valueOf(t, primary.DSN(), "SELECT pg_current_wal_lsn()::text")
	testkit.Await(t, "the standby has the key", func() bool {
		return valueOf(t, standby.DSN(), fmt.Sprintf("SELECT (coalesce(pg_last_wal_replay_lsn(), '0/0') >= '%s')::text", written)) == "true"
	})
	valueOf(t, standby.DSN(), "ALTER SYSTEM SET primary_conninfo = ''")
	valueOf(t, standby.DSN(), "SELECT pg_reload_conf()::text")
	testkit.Await(t, "the standby receives nothing", func() bool {
		return valueOf(t, standby.DSN(), "SELECT count(*)::text FROM pg_stat_wal_receiver") == "0"
	})
	if _, err := revoking.Revoke(t.Context(), "o", issued.Key.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	seeing := startProcess(t, st, shared)
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	testkit.Await(t, "the count is in the shared cache", func() bool {
		names, err := client.Keys(t.Context(), namespace+":k:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return len(names) > 0
	})
	if err := seeing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	primary.Kill()
	valueOf(t, standby.DSN(), "SELECT pg_promote()::text")

	validate := func(m *process) (err error) {
		testkit.Await(t, "the new primary is reached", func() bool {
			_, err = m.Validate(t.Context(), issued.Secret.Reveal())
			return !errors.Is(err, apikey.ErrUnavailable)
		})
		return err
	}
	if err := validate(revoking); !errors.Is(err, apikey.ErrRevoked) {
		t.Errorf("the process that revoked the key: got %v, want ErrRevoked", err)
	}
	if n := revoking.saw(apikey.EventUndone, "level=ERROR msg=\"apikey: the store has undone a revocation, rotation or disabling"); n != 1 {
		t.Errorf("reports by the process that revoked the key: got %d, want 1", n)
	}
	restarted := startProcess(t, st, shared)
	if err := validate(restarted); err != nil {
		t.Errorf("a process that knows only the new primary: got %v, want no error, since the revocation is lost there", err)
	}
	testkit.Await(t, "the lost revocation is reported after a restart", func() bool {
		return restarted.saw(apikey.EventRolledBack, "level=ERROR msg=\"apikey: the database was rolled back to an earlier state") == 1
	})

	// The procedure in SECURITY.md.
	if _, err := revoking.Revoke(t.Context(), "o", issued.Key.ID, "again, after a restore"); err != nil {
		t.Error(err)
	}
	if got := valueOf(t, standby.DSN(), "SELECT count(*)::text FROM keyhatch_keys WHERE revoked_at IS NOT NULL"); got != "1" {
		t.Errorf("revoked keys in the new primary: got %s, want 1", got)
	}
}

// replicated starts a server and its asynchronous standby.
func replicated(t *testing.T) (primary, standby *testkit.Server) {
	t.Helper()
	primary, standby = testkit.StartPostgreSQL(t, "fsync=off"), testkit.StartPostgreSQL(t, "fsync=off")
	from, to := valueOf(t, primary.DSN(), "SHOW data_directory"), valueOf(t, standby.DSN(), "SHOW data_directory")
	u, err := url.Parse(primary.DSN())
	if err != nil {
		t.Fatal(err)
	}
	valueOf(t, primary.DSN(), fmt.Sprintf("ALTER SYSTEM SET primary_conninfo = 'host=%s port=%s user=%s sslmode=disable'", u.Hostname(), u.Port(), u.User.Username()))
	primary.Kill()
	standby.Kill()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil { // with owners and modes, which the server checks
		t.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(to, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	primary.Start()
	standby.Start()
	return primary, standby
}

// A process is a Manager that plays the part of a separate process.
type process struct {
	*apikey.Manager
	mu     sync.Mutex
	events []apikey.EventKind
	log    bytes.Buffer
}

func startProcess(t *testing.T, st *pgstore.Store, shared *rediscache.Cache) *process {
	t.Helper()
	p := &process{}
	opts := &apikey.Options{Logger: slog.New(slog.NewTextHandler(lockedWriter{p}, nil)), OnEvent: func(_ context.Context, e apikey.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, e.Kind)
	}}
	if shared != nil {
		opts.SharedCache = shared
	}
	var err error
	if p.Manager, err = apikey.New(st, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// saw returns how often the event was reported, or -1 if the log has another number of lines.
func (p *process) saw(kind apikey.EventKind, text string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.events {
		if k == kind {
			n++
		}
	}
	if strings.Count(p.log.String(), text) != n {
		return -1
	}
	return n
}

type lockedWriter struct{ p *process }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.log.Write(b)
}

// valueOf returns the only value of a query's only row, if there is one.
func valueOf(t testing.TB, dsn, question string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), question).Scan(&answer); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}
