package cluster_test

import (
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

var (
	blackHole   = testkit.BlackHole
	reset       = testkit.Fault{Name: "reset", Reset: true}
	mute        = testkit.Fault{Name: "half-open, to the server", HoldToServer: true}
	deaf        = testkit.Fault{Name: "half-open, from the server", HoldFromServer: true}
	latency     = testkit.Fault{Name: "latency 2 s", Delay: 2 * time.Second}
	bytewise    = testkit.Fault{Name: "1-byte pieces", Slice: 200 * time.Microsecond}
	slowClose   = testkit.Fault{Name: "slow close", LateClose: 6 * time.Second}
	slowStore   = testkit.Fault{Name: "latency 5 s", Delay: 5 * time.Second}
	networkOnes = []testkit.Fault{blackHole, reset, mute, deaf, latency, bytewise, slowClose}
)
