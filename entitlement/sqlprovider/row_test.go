package sqlprovider_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// subscriptionRow returns a row of the query for an owner's rows.
func subscriptionRow(change func(r []driver.Value)) [][]driver.Value {
	r := []driver.Value{"ann", "sub_1", "subscription", "pro", "active", nil, nil, nil, noon.UnixMicro(), int64(0), nil}
	change(r)
	return [][]driver.Value{r}
}

func TestGoodRow(t *testing.T) {
	t.Parallel()
	p := open(t, &fake{rows: subscriptionRow(func(r []driver.Value) { r[10] = `{"max_keys": 7}` })}, nil)
	if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess || e.MaxKeys != 7 || !e.ValidUntil.IsZero() {
		t.Errorf("got %+v, %v, want access with 7 keys and no end", e, err)
	}
}

// A row with invalid values counts as an outage. It neither grants nor denies access.
func TestHostileRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r []driver.Value){
		"another owner":      func(r []driver.Value) { r[0] = "Ann" },
		"trailing blank":     func(r []driver.Value) { r[0] = "ann " },
		"no owner":           func(r []driver.Value) { r[0] = nil },
		"unknown plan":       func(r []driver.Value) { r[3] = "premium" },
		"unknown status":     func(r []driver.Value) { r[4] = "paused" },
		"status in capitals": func(r []driver.Value) { r[4] = "ACTIVE" },
		"empty status":       func(r []driver.Value) { r[4] = "" },
		"unknown kind":       func(r []driver.Value) { r[2] = "Hold" },
		"no kind":            func(r []driver.Value) { r[2] = "" },
		"NULL kind":          func(r []driver.Value) { r[2] = nil },
		"an active hold":     func(r []driver.Value) { r[2] = "hold" },
		"NULL status":        func(r []driver.Value) { r[4] = nil },
		"since is a string":  func(r []driver.Value) { r[5] = "yesterday" },
		"paid is a string":   func(r []driver.Value) { r[6] = "yesterday" },
		"until the year 1e5": func(r []driver.Value) { r[7] = int64(3e18) },
		"until long ago":     func(r []driver.Value) { r[7] = int64(math.MinInt64) },
		"negative version":   func(r []driver.Value) { r[9] = int64(-1) },
		"broken override":    func(r []driver.Value) { r[10] = `{"api_access": tr` },
		"empty override":     func(r []driver.Value) { r[10] = `` },
		"unknown override":   func(r []driver.Value) { r[10] = `{"admin": true}` },
		"twice in override":  func(r []driver.Value) { r[10] = `{"max_keys": 1, "max_keys": 9}` },
		"scope in override":  func(r []driver.Value) { r[10] = `{"scopes": ["a b"]}` },
	} {
		p := open(t, &fake{rows: subscriptionRow(change)}, nil)
		e, err := p.Entitlement(t.Context(), "ann")
		if err == nil || errors.Is(err, entitlement.ErrNone) || e.APIAccess {
			t.Errorf("%s: got %+v, %v, want an outage", name, e, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "sqlprovider: entitlement: ") {
			t.Errorf("%s: got %v, want an error that begins with sqlprovider: entitlement", name, err)
		}
	}
}

func TestOutageIsNotErrNone(t *testing.T) {
	t.Parallel()
	f := &fake{err: errors.New("down")}
	p := open(t, f, nil)
	if e, err := p.Entitlement(t.Context(), "ann"); err == nil || errors.Is(err, entitlement.ErrNone) || e.APIAccess {
		t.Errorf("got %+v, %v, want an outage", e, err)
	}
	if _, err := p.Override(t.Context(), "ann"); err == nil {
		t.Error("Override returned no error although the database failed")
	}
	if _, err := p.Subscriptions(t.Context(), "ann"); err == nil {
		t.Error("Subscriptions returned no error although the database failed")
	}
	if processed, err := p.IsProcessed(t.Context(), "evt_1"); err == nil || processed {
		t.Errorf("IsProcessed although the database failed: got %v, %v, want an error", processed, err)
	}
	f.setResult(nil, nil)
	if _, err := p.Entitlement(t.Context(), "ann"); err != entitlement.ErrNone {
		t.Errorf("no rows: got %v, want ErrNone", err)
	}
}

// A read that fails because of another statement is repeated.
func TestBusyReadIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: busyError{}}
		p := open(t, f, nil)
		time.AfterFunc(50*time.Millisecond, func() { f.setResult(subscriptionRow(func([]driver.Value) {}), nil) })
		if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess || f.count() < 2 {
			t.Errorf("got %+v, %v after %d statements, want access after a repeated one", e, err, f.count())
		}
	})
}

// A busyError is SQLite's error of a locked file.
type busyError struct{}

func (busyError) Error() string { return "database is locked" }
func (busyError) Code() int     { return 5 }

func TestErrorMatchesEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{err: errors.New("i/o timeout")}
	p := open(t, f, nil)
	cancel()
	if _, err := p.Entitlement(ctx, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an error that matches the context's", err)
	}
}

func TestHostileRowsOfOtherQueries(t *testing.T) {
	t.Parallel()
	f := &fake{rows: [][]driver.Value{{"Ann", nil}}}
	p := open(t, f, nil)
	if _, err := p.Override(t.Context(), "ann"); err == nil {
		t.Error("Override accepted the row of another owner")
	}
	f.setResult([][]driver.Value{{"EVT", int64(0)}}, nil)
	if processed, err := p.IsProcessed(t.Context(), "evt"); err == nil || processed {
		t.Errorf("IsProcessed of another event's row: got %v, %v, want an error", processed, err)
	}
	f.setResult([][]driver.Value{{"evt", int64(2)}}, nil)
	if processed, err := p.IsProcessed(t.Context(), "evt"); err == nil || processed {
		t.Errorf("refused is neither 0 nor 1: got %v, %v, want an error", processed, err)
	}
}

func TestCheckNamesUnknownPlans(t *testing.T) {
	t.Parallel()
	f := &fake{}
	p := open(t, f, nil)
	many := [][]driver.Value{{"pro", "active"}}
	for _, name := range strings.Split("abcdefghijkl", "") {
		many = append(many, []driver.Value{"plan " + name, "active"}, []driver.Value{"plan " + name, "past_due"})
	}
	for name, c := range map[string]struct {
		rows    [][]driver.Value
		unknown bool
		want    []string
	}{
		"nothing":        {nil, false, nil},
		"known":          {[][]driver.Value{{"pro", "active"}, {"free", "past_due"}}, false, nil},
		"unknown":        {[][]driver.Value{{"pro", "active"}, {"Pro", "active"}}, true, []string{`unknown plan: "Pro"`}},
		"no plan":        {[][]driver.Value{{"", "active"}}, true, []string{`""`}},
		"many":           {many, true, []string{`"plan a"`, `"plan j" and 2 more`}},
		"unknown status": {[][]driver.Value{{"pro", "paused"}}, false, []string{`status "paused"`}},
	} {
		f.setResult(c.rows, nil)
		err := p.Check(t.Context())
		if (err != nil) != (c.want != nil) || errors.Is(err, entitlement.ErrUnknownPlan) != c.unknown {
			t.Errorf("%s: got %v, want ErrUnknownPlan = %t", name, err, c.unknown)
			continue
		}
		if slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(err.Error(), w) }) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestCheckSkipsLapsedSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		if err := open(t, f, nil).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, want := f.args[0], time.Now().Add(-366*24*time.Hour).UnixMicro()
		if len(got) != 1 || got[0].Value != want {
			t.Errorf("got the arguments %v, want only %d, which is MaxGrace ago", got, want)
		}
	})
}
