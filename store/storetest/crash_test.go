package storetest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// faultVariable breaks the store of the tests that follow.
const faultVariable = "KEYHATCH_FAULT"

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "records") }

// P-01. The subtest's name has characters of regular expressions.
func TestCrash(t *testing.T) {
	t.Run("a+b (c|d)", func(t *testing.T) {
		Crash(t, 3, newFile, fileOpener(os.Getenv(faultVariable)))
	})
}

// P-01
func TestCrashServer(t *testing.T) {
	var file string
	address := func(t testing.TB) string {
		file = newFile(t)
		return file
	}
	fault, kills := os.Getenv(faultVariable), 3
	if fault != "" {
		kills = 20 // on a busy machine, some of them meet no call
	}
	CrashServer(t, kills, address, fileOpener(fault), func() error {
		if err := os.WriteFile(file+downFile, nil, 0o600); err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond) // long enough for calls to fail
		return os.Remove(file + downFile)
	})
}

const notAtomic = "an acknowledged call must take effect in full"

// P-01: a suite that passes every store proves nothing. Each broken store runs in a
// separate process, whose test must fail.
func TestCrashCatchesBrokenStores(t *testing.T) {
	type run struct {
		*exec.Cmd
		out        bytes.Buffer
		name, says string
	}
	var runs []*run
	for _, c := range []struct{ name, test, fault, says string }{
		{"loses its last write", "TestCrash", "late", notAtomic},
		{"writes half rows", "TestCrash", "half", notAtomic},
		{"writes several rows one by one", "TestCrash", "apart", notAtomic},
		{"fails for no reason", "TestCrash", "flaky", "must not fail, since no server has crashed"},
		{"has no limit", "TestCrash", "unlimited", "must not return"},
		{"loses its server's last write", "TestCrashServer", "late", notAtomic},
	} {
		r := &run{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+c.test+"$"), name: c.name, says: c.says}
		r.Env = append(os.Environ(), faultVariable+"="+c.fault)
		r.Stdout, r.Stderr = &r.out, &r.out
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r) // concurrently, since they mostly wait
	}
	for _, r := range runs {
		var exit *exec.ExitError
		if err := r.Wait(); !errors.As(err, &exit) || !strings.Contains(r.out.String(), r.says) {
			t.Errorf("a store that %s: got %v, want a failure that says %q:\n%s", r.name, err, r.says, &r.out)
		}
	}
}

// Crash must not run the writer of another test.
func TestCrashWritesOnlyForItsOwnTest(t *testing.T) {
	t.Setenv(testVariable, "TestOther")
	Crash(t, 1, func(testing.TB) string {
		t.Error("Crash ran the writer of another test")
		return ""
	}, nil)
}

// hasBegun and hasEnded are the lines of one owner's call.
func hasBegun(c call) line {
	c = c.of("o")
	return line{Owner: "o", Call: &c}
}

func hasEnded(result string) line { return line{Owner: "o", Result: result} }

// The states that a crash may leave, and states that it must not leave.
func TestCrashFaults(t *testing.T) {
	insert, other, third := call{Op: "insert", ID: "a"}, call{Op: "insert", ID: "b"}, call{Op: "insert", ID: "c"}
	a, b := fresh("o", "o-a"), fresh("o", "o-b")
	renamed := a.Clone()
	renamed.Name = "changed"
	old, now, err := a.WithSuccessor(begin, next("o-b", begin), begin.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	revokedA, _ := a.WithRevocation(begin, "closed")
	revokedB, _ := b.WithRevocation(begin, "closed")
	usedA := a.Clone()
	usedA.LastUsedAt = begin.Add(time.Minute)
	usedB := b.Clone()
	usedB.LastUsedAt = begin.Add(time.Minute)

	made := journal{hasBegun(insert), hasEnded(succeeded)}
	two := append(made[:2:2], hasBegun(other), hasEnded(succeeded))
	rotating := append(made[:2:2], hasBegun(call{Op: "expire", ID: "a", Other: "b"}))
	rotated := append(rotating[:3:3], hasEnded(succeeded))
	updating := append(made[:2:2], hasBegun(call{Op: "update", ID: "a"}))
	closing := append(two[:4:4], hasBegun(call{Op: "revoke all"}))
	touching := append(two[:4:4], hasBegun(call{Op: "touch", ID: "a", Other: "b"}))
	limited := insert
	limited.Limit = 1
	refused := journal{hasBegun(limited), hasEnded(succeeded), hasBegun(call{Op: "insert", ID: "b", Limit: 1}), hasEnded(store.ErrLimit.Error())}

	type found = []store.Record
	for _, c := range []struct {
		name    string
		said    journal
		found   found
		mayFail bool
		fault   bool
	}{
		{"begun, not there", made[:1], nil, false, false},
		{"begun, there", made[:1], found{a}, false, false},
		{"acknowledged, there", made, found{a}, false, false},
		{"acknowledged, not there", made, nil, false, true},
		{"acknowledged, another one there", made, found{renamed}, false, true},
		{"acknowledged, and one that no call made", made, found{a, b}, false, true},
		{"failed with the server, not there", journal{hasBegun(insert), hasEnded(outage)}, nil, true, false},
		{"failed with the server, there", journal{hasBegun(insert), hasEnded(outage)}, found{a}, true, false},
		{"failed with the server, another one there", journal{hasBegun(insert), hasEnded(outage)}, found{renamed}, true, true},
		{"failed for no reason", journal{hasBegun(insert), hasEnded(outage)}, nil, false, true},
		{"refused for no reason", journal{hasBegun(insert), hasEnded(store.ErrLimit.Error())}, nil, false, true},
		{"rotated without being asked", made, found{old, now}, false, true},
		{"rotation begun, not there", rotating, found{a}, false, false},
		{"rotation begun, there", rotating, found{old, now}, false, false},
		{"rotation acknowledged, there", rotated, found{old, now}, false, false},
		{"rotation acknowledged, not there", rotated, found{a}, false, true},
		{"half a rotation: no successor", rotating, found{old}, false, true},
		{"half a rotation: the old one as it was", rotating, found{a, now}, false, true},
		{"half a rotation: the successor alone", rotating, found{now}, false, true},
		{"half a rotation: neither", rotating, nil, false, true},
		{"half an update", updating, found{renamed}, false, true},
		{"all revoked", closing, found{revokedA, revokedB}, false, false},
		{"none revoked", closing, found{a, b}, false, false},
		{"some of all revoked", closing, found{revokedA, b}, false, true},
		{"uses written", touching, found{usedA, usedB}, false, false},
		{"uses not written", touching, found{a, b}, false, false},
		{"some of the uses written", touching, found{a, usedB}, false, true},
		{"refused at the limit, not there", refused, found{a}, false, false},
		{"refused at the limit, there", refused, found{a, b}, false, true},
		{"admitted beyond the limit", append(refused[:3:3], hasEnded(succeeded)), found{a, b}, false, true},
		{"several acknowledged", append(two[:4:4], hasBegun(third)), found{a, b}, false, false},
	} {
		s := memstore.New()
		for _, r := range c.found {
			if err := s.Insert(t.Context(), r, -1); err != nil {
				t.Fatal(err)
			}
		}
		if got := faults(t.Context(), s, c.said.accounts(c.mayFail), 0); (len(got) > 0) != c.fault {
			t.Errorf("%s: got %q, want fault = %t", c.name, got, c.fault)
		}
	}
}

// After a crash, a count that the store keeps separately from the records may be wrong.
func TestCrashFillsUpToTheLimit(t *testing.T) {
	first := call{Op: "insert", ID: "a", Limit: 2}
	for _, c := range []struct {
		name  string
		fault string
		left  int // the owner's records after the crash
		want  bool
	}{
		{"one there", "", 1, false},
		{"none there", "", 0, false},
		{"admits more", "unlimited", 1, true},
	} {
		s, err := openFileStore(newFile(t), c.fault)
		if err != nil {
			t.Fatal(err)
		}
		defer s.file.Close()
		if c.left == 1 {
			insert(t, s, fresh("o", "o-a"))
		}
		accounts := journal{hasBegun(first)}.accounts(false)
		accounts["o"].fill(t.Context(), s)
		if got := faults(t.Context(), s, accounts, 0); (len(got) > 0) != c.want {
			t.Errorf("%s: got %q, want fault = %t", c.name, got, c.want)
		}
	}
}

// After a crash, List, Get and Lookup must agree on each record.
func TestCrashComparesListGetAndLookup(t *testing.T) {
	said := journal{hasBegun(call{Op: "insert", ID: "a"}), hasEnded(succeeded)}
	s := memstore.New()
	insert(t, s, fresh("o", "o-a"))
	if got := faults(t.Context(), listless{s}, said.accounts(false), 0); len(got) != 2 {
		t.Errorf("a record that List does not show: got %q, want two faults", got)
	}
	got := faults(t.Context(), indexless{s}, said.accounts(false), 0)
	if len(got) != 1 || !strings.Contains(got[0], "do not agree on o-a") {
		t.Errorf("a record that Lookup does not find: got %q, want one fault", got)
	}
}
