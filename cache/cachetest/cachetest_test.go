package cachetest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/cachetest"
)

// faultVariable breaks the bus and the level of the tests that follow.
const faultVariable = "KEYHATCH_FAULT"

func TestBus(t *testing.T) {
	t.Parallel()
	cachetest.RunBus(t, func(*testing.T) cache.Bus { return newFakeBus(os.Getenv(faultVariable)) })
}

func TestLevel(t *testing.T) {
	t.Parallel()
	cachetest.RunLevel(t, func(*testing.T) (one, other cache.Level) { return newFakeLevel(os.Getenv(faultVariable)) })
}

// A suite that passes everything proves nothing. Each fault is run by a process
// of its own, where the rule that it breaks has to fail.
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
		{"TestBus", "delivers to one", "Everyone who receives gets it"},
		{"TestBus", "ready too soon", "Nothing is lost from ready on"},
		{"TestBus", "ready too late", "Nothing is lost from ready on"},
		{"TestBus", "overlaps", "Publishers at once lose nothing"},
		{"TestBus", "loses among many", "Publishers at once lose nothing"},
		{"TestBus", "forgets what waits", "A slow receiver loses nothing"},
		{"TestBus", "leaves with all", "A receiver that ends leaves the others"},
		{"TestBus", "ends when it is quiet", "A quiet connection lasts"},
		{"TestBus", "echoes to all", "An echo comes to its connection alone"},
		{"TestBus", "echoes before the rest", "An echo comes behind what was published"},
		{"TestBus", "nil error", "The end of its context ends Receive"},
		{"TestBus", "receives for ever", "The end of its context ends Receive"},
		{"TestBus", "publishes for ever", "The end of its context ends Publish"},
		{"TestLevel", "gives no lease", "A miss gives a lease"},
		{"TestLevel", "keeps nothing", "What is set under a lease is kept"},
		{"TestLevel", "keeps to itself", "What is set under a lease is kept"},
		{"TestLevel", "cuts", "Values come back byte for byte"},
		{"TestLevel", "takes bytes for text", "Values come back byte for byte"},
		{"TestLevel", "shortens keys", "Keys are kept apart"},
		{"TestLevel", "deletes all", "Keys are kept apart"},
		{"TestLevel", "takes absent for empty", "An absent answer is kept as one"},
		{"TestLevel", "ages from Set", "Age counts from the lease"},
		{"TestLevel", "keeps for ever", "A ttl ends what is kept"},
		{"TestLevel", "ends too soon", "A ttl ends what is kept"},
		{"TestLevel", "ends a ttl after Set", "A ttl counts from the lease"},
		{"TestLevel", "takes any ttl", "A ttl counts from the lease"},
		{"TestLevel", "needs no lease", "Nothing is kept without a standing lease"},
		{"TestLevel", "takes an empty lease", "Nothing is kept without a standing lease"},
		{"TestLevel", "takes any lease", "Nothing is kept without a standing lease"},
		{"TestLevel", "takes the lease of one who came later", "Nothing is kept without a standing lease"},
		{"TestLevel", "leases for ever", "A lease ends in time"},
		{"TestLevel", "deletes no values", "Delete forgets what is kept"},
		{"TestLevel", "deletes no absent answers", "Delete forgets what is kept"},
		{"TestLevel", "deletes few", "Delete takes many keys"},
		{"TestLevel", "heeds no context", "The end of a context ends a call"},
		{"TestLevel", "misses when its context ends", "The end of a context ends a call"},
		{"TestLevel", "needs no lease", "A fill never brings back what was deleted"},
		{"TestLevel", "deletes no leases", "A fill never brings back what was deleted"},
		{"TestLevel", "looks too soon", "A fill never brings back what was deleted"},
	} {
		if testing.Short() && c.fault == "leases for ever" {
			continue // waits for a lease to end
		}
		r := &run{test: c.test, fault: c.fault, rule: strings.ReplaceAll(c.rule, " ", "_")}
		r.Cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+c.test+"$/^"+r.rule+"$")
		r.Env = append(os.Environ(), faultVariable+"="+c.fault)
		r.Stdout, r.Stderr = &r.out, &r.out
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r) // all at once: they mostly wait
	}
	for _, r := range runs {
		var exit *exec.ExitError
		if err := r.Wait(); !errors.As(err, &exit) || !strings.Contains(r.out.String(), "--- FAIL: "+r.test+"/"+r.rule) {
			t.Errorf("%s, %s: got %v, want %s to fail:\n%s", r.test, r.fault, err, r.rule, &r.out)
		}
	}
}
