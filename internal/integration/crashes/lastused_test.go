package crashes_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

const (
	usedFile      = "KEYHATCH_USED_FILE"  // makes this binary a process that uses a key
	usedClock     = "KEYHATCH_USED_CLOCK" // "real" makes it use the machine's clock
	touchInterval = time.Second
	longestRest   = time.Second // the longest time between two uses
	mostLost      = 10*time.Second + touchInterval + longestRest
)

// SIGKILL loses the last-used times of at most one flush interval. The stored time of a
// key may be older by TouchInterval, and by the time until its next use.
func TestKilledProcessLosesOneFlush(t *testing.T) {
	if file := os.Getenv(usedFile); file != "" {
		if os.Getenv(usedClock) == "real" {
			useKey(t, file)
		}
		synctest.Test(t, func(t *testing.T) { useKey(t, file) })
	}
	var longest time.Duration
	kills, byMachineClock := 5, 0
	if testkit.Soak() {
		kills, byMachineClock = 200, 20 // each process with the machine's clock takes up to 50 s
	}
	for k := range kills {
		// A use comes every half second of the process's fake clock. Every second process
		// is killed while it works, perhaps during a flush.
		uses := 40 + rand.IntN(400)
		longest = max(longest, loseUses(t, "", uses, uses>>(k%2)))
	}
	t.Logf("%d processes were killed, which lost at most the last %v of uses", kills, longest)
	if longest == 0 {
		t.Error("no use was lost, so no use was waiting for a flush")
	}
	t.Run("by the clock of the machine", func(t *testing.T) {
		for range byMachineClock {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				t.Logf("lost the last %v", loseUses(t, "real", 100, 40+rand.IntN(60)))
			})
		}
	})
}

// loseUses starts a process that uses a key repeatedly, kills it after some of the uses, and
// returns the difference between the last use and the stored last-used time.
func loseUses(t *testing.T, clock string, uses, before int) time.Duration {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.db")
	p := exec.Command(os.Args[0], "-test.run", "^TestKilledProcessLosesOneFlush$")
	p.Env = append(os.Environ(), usedFile+"="+file, usedClock+"="+clock)
	var complaints bytes.Buffer
	p.Stderr = &complaints
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
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
	if _, err := io.WriteString(in, strings.Repeat("\n", uses)); err != nil {
		t.Fatal(err)
	}
	var last int64
	var id string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var at int64
		if n, _ := fmt.Sscanf(lines.Text(), "used %s %d.", &id, &at); n == 2 {
			last = at
		}
		if before--; before == 0 {
			p.Process.Kill()
		}
	}
	if before > 0 {
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
		t.Errorf("key last used at %v: got %v in the store, which loses %v, want a loss of at most %v", used.UTC(), r.LastUsedAt, lost, mostLost)
	}
	return max(lost, 0)
}

// useKey uses a key once for each byte that it reads, and writes a line after each
// use. Then it waits until the process is killed.
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
	for asked := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(asked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(longestRest))))
		used := time.Now()
		if _, err := keys.Validate(ctx, issued.Secret.Reveal()); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("used %s %d.\n", issued.Key.ID, used.UnixMicro())
	}
}
