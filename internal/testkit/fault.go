package testkit

import "time"

// A Fault describes what a [Proxy] does to the data that passes. The zero Fault does
// nothing.
type Fault struct {
	Name string

	// Nothing passes to the server, or from it, until the fault ends. Then the data
	// arrives late, as after a network partition. This includes new connections.
	HoldToServer, HoldFromServer bool

	Delay time.Duration // of all data, in each direction
	Slice time.Duration // bytes pass one by one, with a pause after every sixteenth

	// Connections are reset, and new ones are refused.
	Reset bool

	// The server's side of all connections is closed. The client's side is closed after
	// this time.
	LateClose time.Duration
}

// BlackHole holds all data.
var BlackHole = Fault{Name: "black hole", HoldToServer: true, HoldFromServer: true}

func (f Fault) holds(toServer bool) bool {
	return toServer && f.HoldToServer || !toServer && f.HoldFromServer
}
