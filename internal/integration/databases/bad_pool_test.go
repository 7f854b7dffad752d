package databases_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A call that gets no connection ends with its context, and says what it waited
// for.
func TestPoolIsExhausted(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			db := d.open(t)
			s := sqlStore(t, d.dialect, db)
			had := someKeys(t, s)
			db.SetMaxOpenConns(1)
			taken := begin(t, db)
			for name, call := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				err := call(ctx, s)
				cancel()
				outage(t, err, name)
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "all 1 connections of the pool are in use") {
					t.Errorf("%s: the error does not name its cause: got %v", name, err)
				}
			}
			taken.Rollback()
			recovered(t, s, had)
		})
	}
}
