package plans_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
)

func wantProcessed(t *testing.T, p *sqlprovider.Provider, event string, want bool) {
	t.Helper()
	if got, err := p.IsProcessed(t.Context(), event); err != nil || got != want {
		t.Errorf("IsProcessed(%q): got %v, %v, want %v", event, got, err, want)
	}
}

func markProcessed(t *testing.T, p *sqlprovider.Provider, event string, at time.Time) {
	t.Helper()
	if err := p.MarkProcessed(t.Context(), event, at); err != nil {
		t.Error(err)
	}
}

func keepRefused(t *testing.T, p *sqlprovider.Provider, e sqlprovider.RejectedEvent) {
	t.Helper()
	if err := p.SaveRejected(t.Context(), e.ID, e.At, e.Reason, e.Body); err != nil {
		t.Error(err)
	}
}

func wantRefused(t *testing.T, p *sqlprovider.Provider, limit int, want ...sqlprovider.RejectedEvent) {
	t.Helper()
	if got, err := p.Rejected(t.Context(), limit); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Refused(%d): got %+v, %v, want %+v", limit, got, err, want)
	}
}

func TestEventsAreProcessedOnce(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		wantProcessed(t, p, "evt_1", false)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { markProcessed(t, p, "evt_1", noon) })
		}
		wg.Wait()
		wantProcessed(t, p, "evt_1", true)
		wantProcessed(t, p, "EVT_1", false)
		wantProcessed(t, p, "evt_1 ", false)
		wantRefused(t, p, 0)
	})
}

func TestRefusedEventsAreKept(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		event := func(n int, reason string) sqlprovider.RejectedEvent {
			return sqlprovider.RejectedEvent{ID: fmt.Sprint("evt_", n), At: noon.Add(time.Duration(n) * time.Second), Reason: reason, Body: []byte("\x00\xff {\"a'\\\"")}
		}
		one, two, three := event(1, "unknown plan"), event(2, ""), event(3, "ungültig")
		for _, e := range []sqlprovider.RejectedEvent{two, three, one} {
			keepRefused(t, p, e)
		}
		wantRefused(t, p, 0, three, two, one)
		wantRefused(t, p, 2, three, two)
		two.Reason = "another reason"
		keepRefused(t, p, two)
		wantRefused(t, p, 10, three, two, one)
		wantProcessed(t, p, two.ID, false)
		markProcessed(t, p, two.ID, noon)
		wantRefused(t, p, 10, three, one)
		keepRefused(t, p, two)
		wantProcessed(t, p, two.ID, true)
		wantRefused(t, p, 10, three, one)
	})
}

func TestRefusedEventsAreBounded(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		long := sqlprovider.RejectedEvent{ID: "evt", At: noon, Reason: "a\nb\x00" + strings.Repeat("é", 1000), Body: bytes.Repeat([]byte{0xff}, 1<<20)}
		keepRefused(t, p, long)
		long.Reason, long.Body = "a b "+strings.Repeat("é", 510), long.Body[:64<<10]
		wantRefused(t, p, 10, long)
		keepRefused(t, p, sqlprovider.RejectedEvent{ID: "evt", At: noon})
		wantRefused(t, p, 10, sqlprovider.RejectedEvent{ID: "evt", At: noon})
	})
}

func TestPruneDeletesOldEvents(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, _ := d.start(t)
		old, late := sqlprovider.RejectedEvent{ID: "old", At: noon.Add(-1000)}, sqlprovider.RejectedEvent{ID: "new", At: noon}
		keepRefused(t, p, old)
		keepRefused(t, p, late)
		markProcessed(t, p, "old processed", old.At)
		markProcessed(t, p, "new processed", noon)
		if err := p.Prune(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, p, 10, late)
		wantProcessed(t, p, "old processed", false)
		wantProcessed(t, p, "new processed", true)
	})
}
