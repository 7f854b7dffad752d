package proof_test

import (
	"context"
	"flag"
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
	// These tests wait most of the time, and may do so beside each other.
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
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

// unique names something that no other test has.
func unique() string { return fmt.Sprintf("test_%x", rand.Uint64()) }
