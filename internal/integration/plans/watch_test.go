package plans_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// poll is short to keep the tests short.
const poll = 20 * time.Millisecond

// watch runs Watch until the test ends, as a Manager does. The channel receives the owner
// of each change, and "" for a gap.
func watch(t *testing.T, p *sqlprovider.Provider) <-chan string {
	t.Helper()
	told, _ := watchAndCount(t, p)
	return told
}

// watchAndCount is watch, and counts how often Watch has returned.
func watchAndCount(t *testing.T, p *sqlprovider.Provider) (<-chan string, *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string, 1000), make(chan struct{})
	var returned atomic.Int64
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := p.Watch(ctx, func() { told <- "" }, func(owner string) { told <- owner }); err == nil {
				t.Error("Watch returned no error")
			}
			returned.Add(1)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return told, &returned
}

func wantTold(t *testing.T, told <-chan string, want string) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("Watch: got no owner, want %q", want)
	}
}

func wantSilence(t *testing.T, told <-chan string) {
	t.Helper()
	select {
	case got := <-told:
		t.Errorf("got %q, want nothing", got)
	case <-time.After(4 * poll):
	}
}

// E-06
func TestWatchSeesWhatOthersWrite(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		writer := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
		put(t, writer, bought("before", "sub_1", "pro"), true)
		told := watch(t, newProvider(t, d, testkit.OpenDB(t, d.driver, dsn), &sqlprovider.Options{Poll: poll}))
		wantTold(t, told, "")
		wantSilence(t, told)

		s := bought("ann", "sub_1", "pro")
		put(t, writer, s, true)
		wantTold(t, told, "ann")
		put(t, writer, s, false)
		wantSilence(t, told)
		for range 3 { // a Watch must tell writes within one microsecond apart
			s.Version++
			put(t, writer, s, true)
			wantTold(t, told, "ann")
		}
		putHold(t, writer, entitlement.Hold{Owner: "eve", ID: "dispute_1", UpdatedAt: noon}, true)
		wantTold(t, told, "eve")
		for _, o := range []entitlement.Override{{MaxKeys: 9}, {}} {
			if err := writer.SetOverride(t.Context(), "bob", o); err != nil {
				t.Fatal(err)
			}
			wantTold(t, told, "bob")
		}
		wantSilence(t, told)
	})
}

// With the default options.
func TestWatchSeesAChangeWithinTwoSeconds(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		writer := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
		told := watch(t, newProvider(t, d, testkit.OpenDB(t, d.driver, dsn), nil))
		wantTold(t, told, "")
		began := time.Now()
		put(t, writer, bought("ann", "sub_1", "pro"), true)
		wantTold(t, told, "ann")
		if took := time.Since(began); took > 4*time.Second { // 2 s more, for a busy machine
			t.Errorf("the change took %v, want at most 2 s", took)
		}
	})
}

// A row that is written again has a later written_at, even if the clock was turned back.
func TestWatchSeesAWriterWhoseClockIsBehind(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		s := bought("ann", "sub_1", "pro")
		put(t, p, s, true)
		if err := p.SetOverride(t.Context(), "bob", entitlement.Override{MaxKeys: 1}); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"keyhatch_plans", "keyhatch_plans_overrides"} {
			testkit.ExecuteOn(t, db, "UPDATE "+table+" SET written_at = written_at + 3600000000")
		}
		told := watch(t, newProvider(t, d, db, &sqlprovider.Options{Poll: poll}))
		wantTold(t, told, "")
		s.Version++
		put(t, p, s, true)
		wantTold(t, told, "ann")
		if err := p.SetOverride(t.Context(), "bob", entitlement.Override{MaxKeys: 2}); err != nil {
			t.Fatal(err)
		}
		wantTold(t, told, "bob")
	})
}

// E-06
func TestWatchCallsGapWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	for _, d := range databases[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dsn := d.dsn(t)
			direct := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
			proxy := testkit.StartProxy(t, testkit.AddressOf(dsn))
			watcher := newProvider(t, d, testkit.OpenDB(t, d.driver, testkit.SetAddress(dsn, proxy.Address())), &sqlprovider.Options{Poll: poll})
			told := watch(t, watcher)
			wantTold(t, told, "")
			proxy.Inject(testkit.Fault{Reset: true})
			put(t, direct, bought("ann", "sub_1", "pro"), true)
			// For one statement, a driver tries to connect fewer times.
			testkit.Await(t, "six connections are refused", func() bool { return proxy.Refused() >= 6 })
			proxy.Heal()
			wantTold(t, told, "")
			put(t, direct, bought("bob", "sub_1", "pro"), true)
			wantTold(t, told, "bob")
		})
	}
}

func TestWatchCallsGapWhenTheFileIsBack(t *testing.T) {
	t.Parallel()
	p, db := databases[0].start(t)
	told, returned := watchAndCount(t, newProvider(t, databases[0], db, &sqlprovider.Options{Poll: poll}))
	wantTold(t, told, "")
	testkit.ExecuteOn(t, db, "ALTER TABLE keyhatch_plans RENAME TO away")
	testkit.Await(t, "Watch returns", func() bool { return returned.Load() > 0 })
	testkit.ExecuteOn(t, db, "ALTER TABLE away RENAME TO keyhatch_plans")
	wantTold(t, told, "")
	put(t, p, bought("bob", "sub_1", "pro"), true)
	wantTold(t, told, "bob")
}
