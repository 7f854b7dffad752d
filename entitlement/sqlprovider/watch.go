package sqlprovider

import (
	"context"
	"database/sql"
	"time"
)

const (
	// overlap is how much of what was written before the last poll is read
	// again: a write may be committed that much later than its clock says.
	overlap = 30 * time.Second

	// maxWritten bounds what one poll reads and a Watch remembers, in rows.
	maxWritten = 10_000

	// pollTimeout is how long a poll may take, and maxFailed how many may fail
	// in a row.
	pollTimeout = 10 * time.Second
	maxFailed   = 5
)

// Watch implements [entitlement.Watcher]. Every [Options.Poll] it asks the
// database which rows were written, by whatever process, and calls changed for
// their owners.
//
// Rows are found by the clock of the process that wrote them. Each poll looks
// back 30 seconds beyond the one before, and what it has told it does not tell
// again, so nothing is lost where clocks differ, and commits are late, by less
// than that; beyond that a change is seen when the Manager's CacheTTL is over.
// It remembers at most 10,000 rows. When more were written within those 30
// seconds, when a poll has failed, and when one comes 30 seconds late or a clock
// was turned back, it calls gap as soon as it can read again.
//
// It returns when ctx ends, or when five polls have failed in a row. Where it
// does not poll, it waits for ctx.
func (p *Provider) Watch(ctx context.Context, gap func(), changed func(owner string)) error {
	if p.poll < 0 {
		<-ctx.Done()
		return verb("watch", ctx.Err())
	}
	w := watch{provider: p, gap: gap, changed: changed, doubt: true}
	for failed := 0; ; {
		err := w.poll(ctx, time.Now().UnixMicro())
		if err == nil {
			failed = 0
		} else if failed++; failed == maxFailed || ctx.Err() != nil {
			return verb("watch", err)
		}
		select {
		case <-ctx.Done():
			return verb("watch", ctx.Err())
		case <-time.After(p.poll):
		}
	}
}

// A watch is what a Watch remembers.
type watch struct {
	provider *Provider
	gap      func()
	changed  func(owner string)

	last  int64            // when the last poll that succeeded began, in microseconds
	doubt bool             // something may have been missed
	told  map[rowKey]int64 // the rows of the last poll, and when they were written
}

// poll reads before it calls gap: what was committed before the gap is asked for
// anew, and what is committed after the read is found by the next one.
func (w *watch) poll(ctx context.Context, now int64) error {
	if passed := now - w.last; passed < 0 || passed > overlap.Microseconds() {
		w.doubt = true
	}
	since := w.last
	if w.doubt {
		since = now
	}
	rows, err := w.provider.written(ctx, since-overlap.Microseconds(), maxWritten+1)
	if err != nil {
		w.doubt = true
		return err
	}
	w.last = now
	if len(rows) > maxWritten {
		rows, w.doubt = nil, true
	}
	w.tell(rows)
	return nil
}

// tell remembers no more than the rows of this poll; older ones will not be read
// again.
func (w *watch) tell(rows []stamped) {
	told := make(map[rowKey]int64, len(rows))
	for _, row := range rows {
		told[row.rowKey] = row.at
		if at, known := w.told[row.rowKey]; !w.doubt && (!known || at != row.at) {
			w.changed(row.owner)
		}
	}
	w.told = told
	if w.doubt {
		w.doubt = false
		w.gap()
	}
}

// A rowKey is which row it is.
type rowKey struct {
	kind                int // 0 is a subscription, 1 an override
	owner, subscription string
}

// stamped is a row as it was written at an instant, in microseconds.
type stamped struct {
	rowKey
	at int64
}

func scanStamped(rows *sql.Rows) (s stamped, err error) {
	err = rows.Scan(&s.kind, &s.owner, &s.subscription, &s.at)
	return s, err
}

// written returns the rows that were written since an instant, in no order.
func (p *Provider) written(ctx context.Context, since int64, limit int) ([]stamped, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return collect(ctx, p, scanStamped, p.sql.written, since, since, limit)
}
