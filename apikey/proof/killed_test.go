package proof_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

const (
	usedFile      = "KEYHATCH_USED_FILE"  // makes this binary a process that uses a key
	usedClock     = "KEYHATCH_USED_CLOCK" // "real" lets it live by the clock of the machine
	touchInterval = time.Second
	mostLost      = 10*time.Second + touchInterval
)

// SIGKILL loses the last-used times of one flush interval at most, and of
// the interval in which a key is noted once.
func TestKilledProcessLosesOneFlush(t *testing.T) {
	if file := os.Getenv(usedFile); file != "" {
		if os.Getenv(usedClock) == "real" {
			useKey(t, file)
		}
		synctest.Test(t, func(t *testing.T) { useKey(t, file) })
	}
	var longest time.Duration
	kills := trials(5, 200)
	for range kills {
		// A use comes every half second: seconds pass in no time by the process's clock.
		longest = max(longest, loseUses(t, "", 40+rand.IntN(400)))
	}
	t.Logf("%d processes were killed, which lost at most the last %v of uses", kills, longest)
	if longest == 0 {
		t.Error("no use was ever lost, so nothing waited for a flush")
	}
	t.Run("by the clock of the machine", func(t *testing.T) {
		for range trials(0, 20) { // each takes up to 50 s
			t.Run("", func(t *testing.T) {
				t.Parallel()
				t.Logf("lost the last %v", loseUses(t, "real", 40+rand.IntN(60)))
			})
		}
	})
}

// loseUses kills a process after so many uses of a key, and returns how much older
// the stored last-used time is than the last use.
func loseUses(t *testing.T, clock string, uses int) time.Duration {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.db")
	p := exec.Command(os.Args[0], "-test.run", "^TestKilledProcessLosesOneFlush$")
	p.Env = append(os.Environ(), usedFile+"="+file, usedClock+"="+clock)
	var complaints bytes.Buffer
	p.Stderr = &complaints
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.Process.Kill()
		p.Wait()
	}()
	var last int64
	var id string
	for lines := bufio.NewScanner(out); lines.Scan(); uses-- {
		if uses == 0 {
			p.Process.Kill()
		}
		var at int64
		if n, _ := fmt.Sscanf(lines.Text(), "used %s %d.", &id, &at); n == 2 {
			last = at
		} else if uses > 0 {
			t.Fatalf("the process says %q", lines.Text())
		}
	}
	if uses > 0 {
		t.Fatalf("the process ended early:\n%s", &complaints)
	}
	st, err := sqlitestore.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	r, err := st.Get(t.Context(), "o", id)
	if err != nil {
		t.Fatal(err)
	}
	used := time.UnixMicro(last)
	lost := used.Sub(r.LastUsedAt)
	if lost > mostLost {
		t.Errorf("the key was last used at %v, the store has %v: %v are lost, want at most %v", used.UTC(), r.LastUsedAt, lost, mostLost)
	}
	return max(lost, 0)
}

// useKey uses a key until the process is killed, and writes a line after each use.
func useKey(t *testing.T, file string) {
	ctx := context.Background()
	st, err := sqlitestore.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := apikey.New(st, &apikey.Options{TouchInterval: touchInterval})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "o", Name: "used"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
		used := time.Now()
		if _, err := keys.Validate(ctx, issued.Secret.Reveal()); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("used %s %d.\n", issued.Key.ID, used.UnixMicro())
	}
}
