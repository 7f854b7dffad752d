package storetest

import (
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A store that forgets with its process is caught. The test is run once more,
// as one that fails.
func TestCrashCatchesAForgetfulStore(t *testing.T) {
	open := func(context.Context, string) (store.Store, io.Closer, error) {
		return memstore.New(), io.NopCloser(nil), nil
	}
	address := func(testing.TB) string { return "nowhere" }
	const variable = "KEYHATCH_EXPECT_FAILURE"
	if os.Getenv(variable) != "" {
		Crash(t, 2, address, open)
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), variable+"=1")
	out, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "create acknowledged true") {
		t.Errorf("got %v, want a failure that names what is lost:\n%s", err, out)
	}
}

// Each break of a store that a crash can bring to light is a fault.
func TestCrashFaults(t *testing.T) {
	rotating := line{Step: "expire", ID: "a"}
	before, after := rotating.outcomes()
	both := map[string]store.Record{"a": after.record, "a-next": after.successor}
	said := func(lines ...line) (j journal) {
		for _, l := range lines {
			l.ID = "a"
			j = append(j, l)
		}
		return j
	}
	var (
		tryCreate  = line{Step: "expire", Call: create, State: tried}
		didCreate  = line{Step: "expire", Call: create, State: done}
		noCreate   = line{Step: "expire", Call: create, State: failed}
		tryRotate  = line{Step: "expire", Call: change, State: tried}
		didRotate  = line{Step: "expire", Call: change, State: done}
		noRotate   = line{Step: "expire", Call: change, State: failed}
		half       = after.record
		unexpected = before.record
	)
	half.ReplacedBy = ""
	unexpected.Name = "other"
	for _, c := range []struct {
		name  string
		said  journal
		found map[string]store.Record
		fault bool
	}{
		{"begun, not there", said(tryCreate), nil, false},
		{"begun, there", said(tryCreate), map[string]store.Record{"a": before.record}, false},
		{"failed, not there", said(tryCreate, noCreate), nil, false},
		{"failed, there", said(tryCreate, noCreate), map[string]store.Record{"a": before.record}, false},
		{"acknowledged, not there", said(tryCreate, didCreate), nil, true},
		{"acknowledged, another one there", said(tryCreate, didCreate), map[string]store.Record{"a": unexpected}, true},
		{"rotated without being asked", said(tryCreate, didCreate), both, true},
		{"rotation begun, not there", said(tryCreate, didCreate, tryRotate), map[string]store.Record{"a": before.record}, false},
		{"rotation begun, there", said(tryCreate, didCreate, tryRotate), both, false},
		{"rotation failed, there", said(tryCreate, didCreate, tryRotate, noRotate), both, false},
		{"rotation acknowledged, there", said(tryCreate, didCreate, tryRotate, didRotate), both, false},
		{"rotation acknowledged, not there", said(tryCreate, didCreate, tryRotate, didRotate), map[string]store.Record{"a": before.record}, true},
		{"half a rotation: no successor", said(tryCreate, didCreate, tryRotate), map[string]store.Record{"a": after.record}, true},
		{"half a rotation: the old one as it was", said(tryCreate, didCreate, tryRotate), map[string]store.Record{"a": before.record, "a-next": after.successor}, true},
		{"half a rotation: neither", said(tryCreate, didCreate, tryRotate), nil, true},
		{"half a row", said(tryCreate, didCreate, tryRotate), map[string]store.Record{"a": half, "a-next": after.successor}, true},
	} {
		if faults := c.said.faults(c.found); (len(faults) > 0) != c.fault {
			t.Errorf("%s: got %q, want a fault: %v", c.name, faults, c.fault)
		}
	}
}

func TestCrashFaultsCountTheLimit(t *testing.T) {
	var j journal
	found := map[string]store.Record{}
	for _, id := range []string{"o-0", "o-1", "o-2"} {
		j = append(j, line{Step: "limit", Owner: "o", ID: id, Call: create, State: tried})
		found[id] = fresh("o", id)
	}
	if faults := j.faults(found); len(faults) != 1 {
		t.Errorf("three records where two are admitted: got %q, want one fault", faults)
	}
	delete(found, "o-1")
	if faults := j.faults(found); len(faults) != 0 {
		t.Errorf("two records where two are admitted: got %q", faults)
	}
}

// Every step leaves its own mark, so that none passes for another.
func TestCrashStepsLeaveTheirMark(t *testing.T) {
	for _, st := range steps {
		s := memstore.New()
		var said journal
		j := &recorder{to: encoder{&said}}
		if err := st.run(t.Context(), s, j, st.name+"-1"); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		found, err := said.find(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if faults := said.faults(found); len(faults) > 0 {
			t.Errorf("%s: a store that does as it says is faulted: %q", st.name, faults)
		}
		if st.do == nil {
			continue
		}
		for id, r := range maps.Clone(found) {
			if r.LastUsedAt, r.RevokedAt, r.DisabledAt, r.ExpiresAt = (time.Time{}), (time.Time{}), (time.Time{}), (time.Time{}); !same(r, found[id]) {
				found[id] = r
			}
		}
		if faults := said.faults(found); len(faults) == 0 {
			t.Errorf("%s: its effect is undone, and nobody notices", st.name)
		}
	}
}

// An encoder keeps the lines.
type encoder struct{ to *journal }

func (e encoder) Encode(v any) error {
	*e.to = append(*e.to, v.(line))
	return nil
}
