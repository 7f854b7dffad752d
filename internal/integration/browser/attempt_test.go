package browser_test

import (
	"fmt"
	"runtime"
	"testing"
)

// An outcome records the failures of a test that may fail. It is a testing.TB itself.
type outcome struct {
	testing.TB
	failed  []string
	skipped string
}

// attempt runs a test that may fail on purpose.
func attempt(t testing.TB, test func(testing.TB)) *outcome {
	o := &outcome{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(o)
	}()
	<-done
	return o
}

func (o *outcome) Error(args ...any) { o.failed = append(o.failed, fmt.Sprint(args...)) }

func (o *outcome) Errorf(format string, args ...any) { o.Error(fmt.Sprintf(format, args...)) }

func (o *outcome) Fatal(args ...any) {
	o.Error(args...)
	runtime.Goexit()
}

func (o *outcome) Fatalf(format string, args ...any) { o.Fatal(fmt.Sprintf(format, args...)) }

func (o *outcome) Skip(args ...any) {
	o.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}
