package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

const ownerLimit = 25

// rush inserts n records of the owner concurrently, and returns the number of
// successes.
func rush(ctx context.Context, s store.Store, owner, who string, n int) (admitted int64, err error) {
	var wg sync.WaitGroup
	var yes atomic.Int64
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			err := s.Insert(ctx, record(owner, fmt.Sprint(owner, who, i)), ownerLimit)
			switch {
			case err == nil:
				yes.Add(1)
			case !errors.Is(err, store.ErrLimit):
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return yes.Load(), <-errs
}

// limitRole calls rush for each owner that it reads from standard input, and writes
// the number of successes.
func limitRole(ctx context.Context, s *sqlitestore.Store) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := rush(ctx, s, in.Text(), fmt.Sprint("p", os.Getpid(), "-"), rushers())
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
	return nil
}

func rushers() int { return testkit.Scale(40, 200) }

// M-07: two Stores of this process and two other processes use one file.
func TestLimitHoldsAcrossProcesses(t *testing.T) {
	file := newFile(t)
	here := []store.Store{open(t, file), open(t, file)}
	there := []*process{start(t, "limit", file), start(t, "limit", file)}
	for _, p := range there {
		fmt.Fprint(p.in, "!")
	}
	for round := range testkit.Scale(4, 100) {
		owner := fmt.Sprint("owner", round, "-")
		for _, p := range there {
			fmt.Fprintln(p.in, owner)
		}
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for i, s := range here {
			wg.Go(func() {
				n, err := rush(t.Context(), s, owner, fmt.Sprint("s", i, "-"), rushers())
				if err != nil {
					t.Errorf("an insert failed under contention: %v", err)
				}
				admitted.Add(n)
			})
		}
		for _, p := range there {
			if !p.out.Scan() {
				t.Fatal("another process exited")
			}
			n, _ := strconv.Atoi(p.out.Text())
			admitted.Add(int64(n))
		}
		wg.Wait()
		page, err := here[0].List(t.Context(), store.Query{Owner: owner})
		if err != nil || admitted.Load() != ownerLimit || len(page.Records) != ownerLimit {
			t.Fatalf("round %d: got %d successful inserts and %d stored records (%v), want at most %d of both",
				round, admitted.Load(), len(page.Records), err, ownerLimit)
		}
	}
	for _, p := range there {
		p.in.(interface{ Close() error }).Close()
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}
