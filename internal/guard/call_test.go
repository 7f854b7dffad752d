package guard_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

// A hostileError panics when it is unwrapped.
type hostileError struct{}

func (hostileError) Error() string { return "hostile" }
func (hostileError) Is(error) bool { panic("boom") }

// An exitingError ends the goroutine that prints it.
type exitingError struct{}

func (exitingError) Error() string { runtime.Goexit(); return "" }

// A panickingError panics with itself when it is printed.
type panickingError struct{}

func (e panickingError) Error() string { panic(e) }

var errOurs = errors.New("ours")

// Run and Call return even if the call fails, panics or ends its goroutine, and no
// method of their error panics.
func TestBrokenCalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		call func() error
		want string // the error's text; empty: no error
	}{
		{"succeeds", func() error { return nil }, ""},
		{"fails", func() error { return errOurs }, "ours"},
		{"panics", func() error { panic("boom") }, "the call panicked: boom"},
		{"panics with an error that exits", func() error { panic(exitingError{}) }, "the call panicked"},
		{"panics with an error that panics", func() error { panic(panickingError{}) }, "the call panicked"},
		{"exits", func() error { runtime.Goexit(); return nil }, "the call ended its goroutine"},
		{"returns an error that panics", func() error { return hostileError{} }, "the call panicked: boom"},
	} {
		check := func(how string, err error) {
			t.Helper()
			if text := fmt.Sprint(err); text != tt.want && (err != nil || tt.want != "") {
				t.Errorf("%s that %s: got %q, want %q", how, tt.name, text, tt.want)
			}
			_ = errors.Is(err, errOurs)
		}
		synctest.Test(t, func(t *testing.T) { // it fails if a call does not return
			check("Run of a call", guard.Run(tt.call))
			done := 0
			_, err := guard.Call(t.Context(), time.Minute, func() { done++ }, func(context.Context) (int, error) { return 1, tt.call() })
			if check("Call of a call", err); done != 1 {
				t.Errorf("a call that %s: done was called %d times, want once", tt.name, done)
			}
		})
	}
}

// An error from elsewhere matches one of the known errors or a context's error, and
// nothing else.
func TestClassify(t *testing.T) {
	t.Parallel()
	known, second, other := errors.New("known"), errors.New("second"), errors.New("other")
	if err := guard.Classify(nil, known); err != nil {
		t.Errorf("nil: got %v, want nil", err)
	}
	for _, tt := range []struct {
		err, want error
	}{
		{known, known},
		{fmt.Errorf("lookup: %w", known), known},
		{errors.Join(other, second, known), known},
		{fmt.Errorf("lookup: %w", context.DeadlineExceeded), context.DeadlineExceeded},
		{fmt.Errorf("lookup: %w", other), nil},
	} {
		err := guard.Classify(tt.err, known, second)
		if err.Error() != tt.err.Error() {
			t.Errorf("got the text %q, want %q", err, tt.err)
		}
		for _, e := range []error{known, second, other, context.DeadlineExceeded, context.Canceled} {
			if got := errors.Is(err, e); got != (e == tt.want) {
				t.Errorf("%q matches %q: got %t, want %t", err, e, got, e == tt.want)
			}
		}
		if again := guard.Classify(err, known, second); again.Error() != err.Error() || tt.want != nil && !errors.Is(again, tt.want) {
			t.Errorf("classified again: got %v, want %v", again, err)
		}
	}
}
