package plans_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func saveRejected(t *testing.T, p *sqlprovider.Provider, e sqlprovider.RejectedEvent) {
	t.Helper()
	if err := p.SaveRejected(t.Context(), e.Source, e.ID, e.At, e.Reason, e.Body); err != nil {
		t.Error(err)
	}
}

func wantRejected(t *testing.T, p *sqlprovider.Provider, limit int, want ...sqlprovider.RejectedEvent) {
	t.Helper()
	if got, err := p.Rejected(t.Context(), limit); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Rejected(%d): got %+v, %v, want %+v", limit, got, err, want)
	}
}

// rejectedAt returns an event so many seconds after noon.
func rejectedAt(seconds int, reason string) sqlprovider.RejectedEvent {
	return sqlprovider.RejectedEvent{
		Source: "stripe", ID: fmt.Sprint("evt_", seconds), At: noon.Add(time.Duration(seconds) * time.Second),
		Reason: reason, Body: []byte("\x00\xff {\"a'\\\""),
	}
}

// A rejected event is kept until a report of it is stored.
func TestRejectedEventsAreKept(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		one, two, three := rejectedAt(1, "unknown plan"), rejectedAt(2, ""), rejectedAt(3, "ungültig")
		for _, e := range []sqlprovider.RejectedEvent{two, three, one} {
			saveRejected(t, p, e)
		}
		wantRejected(t, p, 0, three, two, one)
		wantRejected(t, p, 2, three, two)
		two.Reason = "another reason"
		saveRejected(t, p, two)
		wantRejected(t, p, 10, three, two, one)
		polar := two
		polar.Source = "polar"
		saveRejected(t, p, polar)
		report := reportedAt(2, sold("ann", "sub_1", "pro"))
		apply(t, p, report)
		wantRejected(t, p, 10, three, polar, one)
		report.Event = "EVT_3"
		apply(t, p, report)
		wantRejected(t, p, 10, three, polar, one)
		testkit.ExecuteOn(t, db, "UPDATE keyhatch_plans_rejected SET source = '' WHERE event = 'evt_3'") // as version 2 saved it
		report.Event = "evt_3"
		apply(t, p, report)
		wantRejected(t, p, 10, polar, one)
	})
}

func TestRejectedEventsAreBounded(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		long := rejectedAt(1, "a\nb\x00"+strings.Repeat("é", 1000))
		long.Body = bytes.Repeat([]byte{0xff}, 1<<20)
		saveRejected(t, p, long)
		long.Reason, long.Body = "a b "+strings.Repeat("é", 510), long.Body[:256<<10]
		wantRejected(t, p, 10, long)
		long.Reason, long.Body = "", nil
		saveRejected(t, p, long)
		wantRejected(t, p, 10, long)
	})
}

func TestPruneDeletesOldEvents(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		old, late := rejectedAt(-1, ""), rejectedAt(0, "")
		saveRejected(t, p, old)
		saveRejected(t, p, late)
		if err := p.Prune(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		wantRejected(t, p, 10, late)
	})
}
