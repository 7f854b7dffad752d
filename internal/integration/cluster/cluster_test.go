package cluster_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A cluster is several instances of a service that share a database.
type cluster struct {
	testing.TB
	*servers
	base    setup
	members []*member
}

// A member is an instance with its own proxies.
type member struct {
	*instance
	*cluster
	setup                setup
	database, bus, cache *testkit.Proxy // to the store, to the bus of PostgreSQL, and to Redis
}

// newCluster starts n instances with the same setup, in a new schema unless the setup names
// one.
func newCluster(t testing.TB, s *servers, n int, base setup) *cluster {
	t.Helper()
	needSignals(t)
	base.Namespace = testkit.NewName()
	if base.DSN == "" {
		base.DSN = s.schema(t)
	}
	c := &cluster{TB: t, servers: s, base: base}
	c.grow(n)
	return c
}

// grow adds instances. The first one creates the tables, and the others start in parallel.
func (c *cluster) grow(n int) {
	c.Helper()
	first := len(c.members)
	for range n {
		m := &member{cluster: c, setup: c.base}
		m.database, m.bus, m.cache = testkit.StartProxy(c, testkit.AddressOf(c.base.DSN)), testkit.StartProxy(c, testkit.AddressOf(c.base.DSN)), testkit.StartProxy(c, c.redis)
		m.setup.DSN, m.setup.Listen = testkit.SetAddress(c.base.DSN, m.database.Address()), testkit.SetAddress(c.base.DSN, m.bus.Address())
		m.setup.Redis = m.cache.Address()
		c.members = append(c.members, m)
		c.Cleanup(func() {
			if m.instance != nil {
				m.kill()
			}
		})
	}
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for k, m := range c.members[first:] {
		if k == 0 {
			errs <- m.open()
			continue
		}
		wg.Go(func() { errs <- m.open() })
	}
	wg.Wait()
	for range n {
		if err := <-errs; err != nil {
			c.Fatal(err)
		}
	}
	c.awaitBus(c.members[first:]...)
}

// open starts the instance, or restarts it.
func (m *member) open() (err error) {
	m.instance, err = start(m.setup)
	return err
}

// awaitBus waits until the instances receive each other's messages.
func (c *cluster) awaitBus(members ...*member) {
	c.Helper()
	for _, m := range members {
		if m.setup.Bus != noBus {
			testkit.Await(c, "the bus is up", func() bool { return ask[status](c, m.instance, "status", struct{}{}).BusUp })
		}
	}
}

// A key is a created key with its token.
type key struct{ op }

// create creates n keys through one of the instances, several at a time.
func (c *cluster) create(m *member, n int) []key {
	c.Helper()
	owner, keys := testkit.NewName(), make([]key, n)
	errs := make(chan error, 8)
	for w := range cap(errs) {
		go func() {
			for k := w; k < n; k += cap(errs) {
				var d done
				o := fmt.Sprintf("%s_%d", owner, k)
				err := m.call("create", op{Owner: o}, &d)
				for tries := 1; err == nil && d.Answer == unavailable && tries < 5; tries++ { // while other packages' tests run
					o += "_again"
					err = m.call("create", op{Owner: o}, &d)
				}
				if err != nil || d.Answer != accepted {
					errs <- fmt.Errorf("create: %s, %v", d.Answer, err)
					return
				}
				keys[k] = key{op{o, d.Key, d.Token}}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			c.Fatal(err)
		}
	}
	return keys
}

func tokens(of []key) []string {
	all := make([]string, len(of))
	for i := range of {
		all[i] = of[i].Token
	}
	return all
}

// do makes a call with a key and fails the test unless it returns want.
func (m *member) do(verb string, k key, want string) done {
	m.Helper()
	d := ask[done](m, m.instance, verb, k.op)
	// On a busy machine, a call to Redis may exceed its timeout.
	for n := 0; verb == "revoke" && want == accepted && d.Answer == notPropagated && n < 20; n++ {
		m.Logf("revoke was not propagated; calling it again")
		d = ask[done](m, m.instance, verb, k.op)
	}
	if d.Answer != want {
		m.Fatalf("%s: got %q, want %q", verb, d.Answer, want)
	}
	return d
}

// watch makes the instance validate the tokens repeatedly, with a rest after each round.
func (m *member) watch(name string, rest time.Duration, of []key) {
	m.Helper()
	ask[struct{}](m, m.instance, "watch", watchArgs{Name: name, Tokens: tokens(of), Rest: rest})
}

// watched ends a watch when all tokens are refused, or after wait, and returns its results.
func (m *member) watched(name string, wait time.Duration) []watchedToken {
	m.Helper()
	return ask[[]watchedToken](m, m.instance, "watched", watchedArgs{Name: name, Wait: wait, Stop: true})
}

// buses lists every bus implementation.
var buses = []string{redisBus, notifyBus}

// fully returns all buses for a run with the full counts, and otherwise the bus that
// matters most for the scenario.
func fully(most string, all ...string) []string {
	if testkit.Soak() {
		return all
	}
	return []string{most}
}
