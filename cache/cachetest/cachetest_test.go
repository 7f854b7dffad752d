package cachetest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/cachetest"
)

// faultVariable is the environment variable that selects a fault of the bus or the
// shared cache under test.
const faultVariable = "KEYHATCH_FAULT"

func TestBus(t *testing.T) {
	inBubbles(t, cachetest.BusRules(func(*testing.T) cache.Bus { return newFakeBus(os.Getenv(faultVariable)) }))
}

func TestShared(t *testing.T) {
	inBubbles(t, cachetest.SharedRules(func(*testing.T) (one, other cache.Shared) { return newFakeShared(os.Getenv(faultVariable)) }))
}

// inBubbles runs each rule in a bubble of testing/synctest, where no rule waits for real
// time.
func inBubbles(t *testing.T, rules map[string]func(*testing.T)) {
	t.Parallel()
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, check)
		})
	}
}

// A suite that passes every implementation proves nothing. A process runs each
// fault, and the rule that the fault breaks must fail.
func TestSuitesCatchFaults(t *testing.T) {
	t.Parallel()
	type run struct {
		*exec.Cmd
		out               bytes.Buffer
		test, fault, rule string
	}
	var runs []*run
	for _, c := range []struct{ test, fault, rule string }{
		{"TestBus", "swaps", "Messages arrive in order"},
		{"TestBus", "repeats", "Messages arrive in order"},
		{"TestBus", "loses", "Messages arrive in order"},
		{"TestBus", "never ready", "Messages arrive in order"},
		{"TestBus", "ready twice", "Messages arrive in order"},
		{"TestBus", "cuts", "The longest message arrives whole"},
		{"TestBus", "delivers to one", "All receivers get each message"},
		{"TestBus", "ready too soon", "No message is lost after ready"},
		{"TestBus", "ready too late", "No message is lost after ready"},
		{"TestBus", "overlaps", "Concurrent publishers lose nothing"},
		{"TestBus", "loses among many", "Concurrent publishers lose nothing"},
		{"TestBus", "drops queued messages", "A slow receiver loses nothing"},
		{"TestBus", "removes all receivers", "A receiver that ends does not affect others"},
		{"TestBus", "ends when quiet", "A quiet connection stays open"},
		{"TestBus", "echoes to all", "An echo arrives on its own connection only"},
		{"TestBus", "echoes before earlier messages", "An echo arrives after earlier messages"},
		{"TestBus", "nil error", "Receive returns when its context ends"},
		{"TestBus", "receives forever", "Receive returns when its context ends"},
		{"TestBus", "publishes forever", "Publish returns when its context ends"},
		{"TestShared", "gives no lease", "A miss grants a lease"},
		{"TestShared", "keeps nothing", "A value set under a lease is kept"},
		{"TestShared", "does not share entries", "A value set under a lease is kept"},
		{"TestShared", "cuts", "Values are returned byte for byte"},
		{"TestShared", "treats bytes as text", "Values are returned byte for byte"},
		{"TestShared", "shortens keys", "Keys are independent"},
		{"TestShared", "deletes all", "Keys are independent"},
		{"TestShared", "treats absent as empty", "An absent entry is kept"},
		{"TestShared", "ages from Set", "Age counts from the lease"},
		{"TestShared", "keeps entries forever", "An entry expires after its ttl"},
		{"TestShared", "ends too soon", "An entry expires after its ttl"},
		{"TestShared", "ends a ttl after Set", "A ttl counts from the lease"},
		{"TestShared", "accepts any ttl", "A ttl counts from the lease"},
		{"TestShared", "needs no lease", "Nothing is kept without a valid lease"},
		{"TestShared", "accepts an empty lease", "Nothing is kept without a valid lease"},
		{"TestShared", "accepts any lease", "Nothing is kept without a valid lease"},
		{"TestShared", "accepts a newer lease", "Nothing is kept without a valid lease"},
		{"TestShared", "leases never end", "A lease ends after MaxLease"},
		{"TestShared", "deletes no values", "Delete removes entries"},
		{"TestShared", "deletes no absent entries", "Delete removes entries"},
		{"TestShared", "deletes few", "Delete removes many keys"},
		{"TestShared", "ignores contexts", "A call returns when its context ends"},
		{"TestShared", "misses when its context ends", "A call returns when its context ends"},
		{"TestShared", "needs no lease", "A fill never restores a deleted entry"},
		{"TestShared", "deletes no leases", "A fill never restores a deleted entry"},
		{"TestShared", "checks the lease too soon", "A fill never restores a deleted entry"},
	} {
		if testing.Short() && c.fault == "leases never end" {
			continue // waits for a lease to end
		}
		r := &run{test: c.test, fault: c.fault, rule: strings.ReplaceAll(c.rule, " ", "_")}
		r.Cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+c.test+"$/^"+r.rule+"$")
		r.Env = append(os.Environ(), faultVariable+"="+c.fault)
		r.Stdout, r.Stderr = &r.out, &r.out
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r) // concurrently, since they mostly wait
	}
	for _, r := range runs {
		var exit *exec.ExitError
		err := r.Wait()
		report, _, _ := strings.Cut(r.out.String(), "panic:") // after the report, a bubble that cannot end causes a panic
		if !errors.As(err, &exit) || !strings.Contains(report, "--- FAIL: "+r.test+"/"+r.rule) || !strings.Contains(report, ".go:") {
			t.Errorf("%s with the fault %q: got %v, want %s to fail:\n%s", r.test, r.fault, err, r.rule, &r.out)
		}
	}
}
