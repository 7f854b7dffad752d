package cluster_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // it would log connections that are cut on purpose
	if os.Getenv(roleVariable) != "" {
		os.Exit(play())
	}
	os.Exit(testkit.Run(m))
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// onRace returns another number under the race detector, which is slower.
func onRace[T int | time.Duration](normal, race T) T {
	if testkit.Race {
		return race
	}
	return normal
}

// soon is the documented bound of one second. It is longer while other packages' tests run.
var soon = testkit.Scale(onRace(4*time.Second, 5*time.Second), time.Second)
