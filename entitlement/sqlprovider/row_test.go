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
	r := []driver.Value{"stripe", "subscription", "sub_1", "", "", "ann", "cus_1", "pro", "active", nil, nil, nil, int64(0), "", noon.UnixMicro(), int64(0), int64(0), nil}
	change(r)
	return [][]driver.Value{r}
}

// overrideRow returns a row of the same query with an override.
func overrideRow(override string) []driver.Value {
	return []driver.Value{"", "override", "", "", "", "ann", "", "", "", nil, nil, nil, int64(0), "", nil, int64(0), int64(0), override}
}

func TestGoodRow(t *testing.T) {
	t.Parallel()
	p := open(t, &fake{rows: append(subscriptionRow(func([]driver.Value) {}), overrideRow(`{"max_keys": 7}`))}, nil)
	if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess || e.MaxKeys != 7 || !e.ValidUntil.IsZero() {
		t.Errorf("got %+v, %v, want access with 7 keys and no end", e, err)
	}
}

// A row with invalid values counts as an outage. It neither grants nor denies access.
func TestHostileRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r []driver.Value){
		"another owner":      func(r []driver.Value) { r[5] = "Ann" },
		"trailing blank":     func(r []driver.Value) { r[5] = "ann " },
		"no owner":           func(r []driver.Value) { r[5] = nil },
		"unknown plan":       func(r []driver.Value) { r[7] = "premium" },
		"unknown status":     func(r []driver.Value) { r[8] = "paused" },
		"status in capitals": func(r []driver.Value) { r[8] = "ACTIVE" },
		"empty status":       func(r []driver.Value) { r[8] = "" },
		"unknown kind":       func(r []driver.Value) { r[1] = "Hold" },
		"no kind":            func(r []driver.Value) { r[1] = "" },
		"NULL kind":          func(r []driver.Value) { r[1] = nil },
		"an active hold":     func(r []driver.Value) { r[1] = "hold" },
		"an active payment":  func(r []driver.Value) { r[1] = "payment" },
		"NULL status":        func(r []driver.Value) { r[8] = nil },
		"since is a string":  func(r []driver.Value) { r[9] = "yesterday" },
		"paid is a string":   func(r []driver.Value) { r[10] = "yesterday" },
		"until the year 1e5": func(r []driver.Value) { r[11] = int64(3e18) },
		"until long ago":     func(r []driver.Value) { r[11] = int64(math.MinInt64) },
		"negative amount":    func(r []driver.Value) { r[12] = int64(-1) },
		"negative version":   func(r []driver.Value) { r[15] = int64(-1) },
		"broken override":    func(r []driver.Value) { copy(r, overrideRow(`{"api_access": tr`)) },
		"empty override":     func(r []driver.Value) { copy(r, overrideRow(``)) },
		"unknown override":   func(r []driver.Value) { copy(r, overrideRow(`{"admin": true}`)) },
		"twice in override":  func(r []driver.Value) { copy(r, overrideRow(`{"max_keys": 1, "max_keys": 9}`)) },
		"scope in override":  func(r []driver.Value) { copy(r, overrideRow(`{"scopes": ["a b"]}`)) },
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
	if _, err := p.Purchases(t.Context(), "ann"); err == nil {
		t.Error("Purchases returned no error although the database failed")
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
			t.Errorf("got %+v, %v after %d statements, want access and at least two statements", e, err, f.count())
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
		if len(got) != 2 || got[0].Value != want || got[1].Value != want {
			t.Errorf("got the arguments %v, want twice %d, which is MaxGrace ago", got, want)
		}
	})
}
