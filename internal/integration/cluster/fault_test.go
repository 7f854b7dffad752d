package cluster_test

import "time"

// A fault is what a proxy does to what passes. The zero fault is none.
type fault struct {
	name string

	// Nothing passes to the server, or from it, before the fault is over. Then
	// it arrives, late, as in a network that was parted: new connections too.
	holdUp, holdDown bool

	delay time.Duration // of everything, each way
	slice time.Duration // bytes pass one by one, with a pause after every sixteenth

	// Connections are reset, and new ones too.
	reset bool

	// The server ends all connections, and the client hears of it so much
	// later.
	lateEnd time.Duration
}

var (
	blackHole   = fault{name: "black hole", holdUp: true, holdDown: true}
	reset       = fault{name: "reset", reset: true}
	mute        = fault{name: "half-open, to the server", holdUp: true}
	deaf        = fault{name: "half-open, from the server", holdDown: true}
	latency     = fault{name: "latency 2 s", delay: 2 * time.Second}
	bytewise    = fault{name: "1-byte pieces", slice: 200 * time.Microsecond}
	slowClose   = fault{name: "slow close", lateEnd: 6 * time.Second}
	slowStore   = fault{name: "latency 5 s", delay: 5 * time.Second}
	networkOnes = []fault{blackHole, reset, mute, deaf, latency, bytewise, slowClose}
)

func (f fault) holds(d direction) bool { return d == up && f.holdUp || d == down && f.holdDown }
