package sqlitestore_test

import (
	"testing"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, newFile(t)) })
}
