package sqlitestore_test

import (
	"context"
	"io"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// after SIGKILL at random instants, no acknowledged write is lost.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	storetest.Crash(t, testkit.Scale(8, 100), newFile, openAgain)
}

func openAgain(ctx context.Context, file string) (store.Store, io.Closer, error) {
	s, err := sqlitestore.Open(ctx, file)
	return s, s, err
}
