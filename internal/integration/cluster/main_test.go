package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // it tells of connections that are cut on purpose
	if os.Getenv(roleVariable) != "" {
		os.Exit(play())
	}
	os.Exit(testserver.Run(m))
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// soak asks for the full counts.
var soak = os.Getenv("KEYHATCH_SOAK") != ""

// count is short in everyday runs.
func count[T int | time.Duration](short, full T) T {
	if soak {
		return full
	}
	return short
}

// onRace is another number under the race detector, where all takes longer.
func onRace[T int | time.Duration](normal, race T) T {
	if raced {
		return race
	}
	return normal
}

// soon is what is promised as at most a second. Beside other packages' tests
// that can be more.
var soon = count(onRace(4*time.Second, 5*time.Second), time.Second)

// unique names something that no other test has.
func unique() string { return fmt.Sprintf("test_%x", rand.Uint64()) }
