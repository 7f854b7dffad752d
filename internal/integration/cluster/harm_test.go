package cluster_test

import (
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A harm is a fault that is done to the cluster, or to one of its instances, and then undone.
type harm struct {
	name  string
	store bool // some instance cannot reach the store
	do    func(member int)
}

func (n *nemesis) harms() []harm {
	all := []harm{
		{"an instance parted from PostgreSQL", true, n.partStore},
		{"an instance killed", false, n.killInstance},
		{"an instance stopped", false, n.stopInstance},
		{"PostgreSQL killed", true, func(int) { n.database.Kill(); n.awhile(500 * time.Millisecond); n.database.Start() }},
		{"connections of PostgreSQL ended", true, n.endConnections},
	}
	if n.base.Bus == notifyBus {
		return append(all, harm{"an instance parted from NOTIFY", false, n.partListen})
	}
	return append(all,
		harm{"an instance parted from Redis", false, n.partRedis},
		harm{"Redis killed", false, func(int) { n.servers.cache.Kill(); n.awhile(500 * time.Millisecond); n.servers.cache.Start() }},
		harm{"FLUSHALL", false, func(int) { n.redisDoes(n, "FLUSHALL") }},
		harm{"subscriptions ended", false, func(int) { n.redisDoes(n, "CLIENT", "KILL", "TYPE", "pubsub") }},
	)
}

// awhile waits for a random time of at most the given one.
func (n *nemesis) awhile(most time.Duration) {
	time.Sleep(most/4 + time.Duration(n.random.Int64N(int64(most*3/4))))
}

// cutting lists the faults that stop all traffic.
var cutting = []testkit.Fault{blackHole, reset, mute, deaf, slowClose}

func (n *nemesis) partStore(m int) {
	f := cutting[n.random.IntN(len(cutting))]
	n.members[m].database.Inject(f)
	if n.random.IntN(2) == 0 {
		n.members[m].bus.Inject(f)
	}
	n.awhile(testkit.Scale(2*time.Second, 8*time.Second))
	n.members[m].database.Heal()
	n.members[m].bus.Heal()
}

func (n *nemesis) partRedis(m int) {
	n.members[m].cache.Inject(cutting[n.random.IntN(len(cutting))])
	n.awhile(testkit.Scale(2*time.Second, 8*time.Second))
	n.members[m].cache.Heal()
}

func (n *nemesis) partListen(m int) {
	n.members[m].bus.Inject(cutting[n.random.IntN(len(cutting))])
	n.awhile(testkit.Scale(2*time.Second, 8*time.Second))
	n.members[m].bus.Heal()
}

func (n *nemesis) killInstance(m int) {
	n.Helper()
	n.members[m].kill()
	if err := n.members[m].open(); err != nil {
		n.Fatal(err)
	}
	n.lives[m].begin(n.members[m].instance)
}

// stopInstance stops an instance for longer than any cached entry or lease lasts.
func (n *nemesis) stopInstance(m int) {
	n.Helper()
	if err := n.members[m].stop(); err != nil {
		n.Fatal(err)
	}
	time.Sleep(min(n.base.CacheTTL, detection+time.Second) + 500*time.Millisecond)
	if _, err := n.members[m].resume(); err != nil {
		n.Fatal(err)
	}
}

func (n *nemesis) endConnections(int) {
	n.Helper()
	testkit.Execute(n, n.postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name LIKE 'keyhatch%'")
}
