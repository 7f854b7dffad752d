package sqldb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/keyhatch/keyhatch/internal/guard"
)

const (
	// retryTimeout is how long a call is retried after it failed because of other
	// statements, unless its context ends earlier. The context and the database bound how
	// long a statement waits for a lock before it fails.
	retryTimeout = 5 * time.Second

	firstPause = time.Millisecond
	maxPause   = 4 * time.Millisecond // with longer pauses, the process that last locked a busy SQLite file locks it again

	grace = 50 * time.Millisecond // for drivers that notice the end of the context, and return a better error
)

// RetryBusy calls try again while it fails because of other statements, such as in a
// deadlock. If a table is missing, the error says what to do.
func (d *Database) RetryBusy(ctx context.Context, try func() error) error {
	err := d.RetryBusySince(ctx, time.Now(), try)
	if err != nil && d.IsMissing(err) {
		return fmt.Errorf("%w: call Migrate before the first use", err)
	}
	return err
}

// RetryBusySince is like [Database.RetryBusy], for a call that began earlier, so that less time
// is left for retries.
func (d *Database) RetryBusySince(ctx context.Context, began time.Time, try func() error) error {
	giveUp := began.Add(retryTimeout)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := try()
		if err == nil || !d.IsBusy(err) || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-ctx.Done():
			return WithContextError(ctx, err)
		case <-time.After(pause/2 + rand.N(pause)): // so that two calls do not collide again
		}
	}
}

// WithContextError adds the context's error if a driver returned another one instead.
func WithContextError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// Within ends a transaction. It returns soon after the context ends. Most drivers would
// wait for a server that does not respond until TCP gives up.
func Within(ctx context.Context, end func() error) error {
	done := make(chan error, 1)
	go func() { done <- guard.Run(end) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return ctx.Err()
	}
}

// ErrSkipped is the error of a statement that succeeded but changed nothing.
var ErrSkipped = errors.New("the database skipped a write: remove triggers and rules that skip writes to keyhatch's tables")

func hasSQLState(err error, states ...string) bool {
	var coded interface{ SQLState() string } // pgx and lib/pq have it
	if errors.As(err, &coded) {
		for _, state := range states {
			if coded.SQLState() == state {
				return true
			}
		}
	}
	return false
}
