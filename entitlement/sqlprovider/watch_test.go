package sqlprovider_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
)

// writtenRow returns a row of a poll: a subscription of the owner, written at an
// instant.
func writtenRow(owner string, at time.Time) []driver.Value {
	return []driver.Value{int64(0), owner, "", "sub_1", at.UnixMicro()}
}

// runWatch runs Watch in a bubble. Half a second after each poll, it calls each with the
// calls that Watch has made since the last time.
func runWatch(t *testing.T, f *fake, each func(second int, calls []string) bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := open(t, f, nil)
	calls := &callLog{}
	ended := make(chan error, 1)
	go func() { ended <- p.Watch(ctx, func() { calls.add("gap") }, calls.add) }()
	time.Sleep(500 * time.Millisecond)
	for second := 0; ; second++ {
		synctest.Wait()
		if !each(second, calls.take()) {
			break
		}
		time.Sleep(time.Second)
	}
	cancel()
	return <-ended
}

// callLog collects the calls that Watch makes.
type callLog struct {
	mu    sync.Mutex
	calls []string
}

func (n *callLog) add(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, what)
}

func (n *callLog) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := n.calls
	n.calls = nil
	return calls
}

// A step is the result of a poll and the calls that Watch must make then.
type step struct {
	rows [][]driver.Value
	err  error
	want []string
}

// runSteps gives each poll the result of the next step.
func runSteps(t *testing.T, steps []step) error {
	t.Helper()
	f := &fake{}
	f.setResult(steps[0].rows, steps[0].err)
	return runWatch(t, f, func(second int, calls []string) bool {
		if !slices.Equal(calls, steps[second].want) {
			t.Errorf("poll %d: got %q, want %q", second, calls, steps[second].want)
		}
		if second+1 == len(steps) {
			return false
		}
		f.setResult(steps[second+1].rows, steps[second+1].err)
		return true
	})
}

func TestWatchReportsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		override := []driver.Value{int64(1), "ann", "", "ann", now.UnixMicro()}
		err := runSteps(t, []step{
			{rows: [][]driver.Value{writtenRow("old", now)}, want: []string{"gap"}},
			{rows: [][]driver.Value{writtenRow("old", now)}},
			{rows: [][]driver.Value{writtenRow("old", now), writtenRow("ann", now)}, want: []string{"ann"}},
			{rows: [][]driver.Value{writtenRow("ann", now), writtenRow("old", now)}},
			{rows: [][]driver.Value{writtenRow("ann", now.Add(time.Microsecond))}, want: []string{"ann"}},
			{rows: [][]driver.Value{writtenRow("ann", now.Add(time.Microsecond)), override}, want: []string{"ann"}},
			{rows: [][]driver.Value{override}},
			{},
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestWatchCallsGapAfterFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		now := time.Now()
		_ = runSteps(t, []step{
			{want: []string{"gap"}},
			{err: down},
			{err: down},
			{rows: [][]driver.Value{writtenRow("ann", now)}, want: []string{"gap"}},
			{rows: [][]driver.Value{writtenRow("ann", now), writtenRow("bob", now)}, want: []string{"bob"}},
			{err: down},
			{want: []string{"gap"}},
		})
	})
}

func TestWatchReturnsAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		began := time.Now()
		p := open(t, &fake{err: down}, nil)
		err := p.Watch(t.Context(), func() { t.Error("Watch called gap before a poll succeeded") }, nil)
		if !errors.Is(err, down) {
			t.Errorf("got %v, want the database's error", err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("Watch returned after %v, want 4s, after five polls", took)
		}
	})
}

func TestWatchCallsGapAfterManyRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var many [][]driver.Value
		for i := range 10_001 {
			many = append(many, writtenRow(fmt.Sprint("owner ", i), time.Now()))
		}
		few := many[:2]
		_ = runSteps(t, []step{
			{want: []string{"gap"}},
			{rows: many, want: []string{"gap"}},
			{rows: many, want: []string{"gap"}},
			{rows: few, want: []string{"owner 0", "owner 1"}},
			{rows: few},
		})
	})
}

// Each poll looks back thirty seconds from the start of the one before.
func TestWatchLooksBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fake{}
		_ = runWatch(t, f, func(second int, _ []string) bool {
			since := time.UnixMicro(f.argument(second).(int64))
			want := began.Add(time.Duration(max(second-1, 0))*time.Second - 30*time.Second)
			if !since.Equal(want) {
				t.Errorf("poll %d: got rows since %v, want since %v", second, since, want)
			}
			return second < 40
		})
	})
}

func TestWatchCallsGapAfterLatePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, &fake{}, &sqlprovider.Options{Poll: 31 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		gaps := 0
		_ = p.Watch(ctx, func() { gaps++ }, nil)
		if gaps != 4 {
			t.Errorf("got %d gaps, want 4, one for each poll, since they are 31 seconds apart", gaps)
		}
	})
}

func TestWatchWithoutPolling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		p := open(t, f, &sqlprovider.Options{Poll: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Watch(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if n := f.count(); n != 0 {
			t.Errorf("statements that Watch sent: got %d, want 0", n)
		}
	})
}
