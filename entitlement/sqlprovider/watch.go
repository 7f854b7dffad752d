package sqlprovider

import (
	"context"
	"database/sql"
	"time"
)

const (
	// lookBack is how far each poll looks back beyond the start of the last one.
	// A write may be committed that much later than its written_at.
	lookBack = 30 * time.Second

	// maxWritten is the maximum number of rows that one poll reads and a Watch
	// remembers.
	maxWritten = 10_000

	// pollTimeout bounds each poll. Watch returns after maxFailed failures in a
	// row.
	pollTimeout = 10 * time.Second
	maxFailed   = 5
)

// Watch implements [entitlement.Watcher]. Every [Options.Poll] it reads which
// rows were written, by any process, and calls changed for their owners.
//
// Watch finds rows by the time of their write, which the writing process took from its
// own clock. Each poll looks
// back 30 seconds beyond the start of the last one, and skips rows that were
// already reported. So nothing is lost if the sum of clock differences and
// delayed commits stays below 30 seconds. Otherwise a change takes effect within
// the longer of the Manager's CacheTTL and StaleIfError.
//
// Watch remembers at most 10,000 rows. It calls gap after its next successful
// poll if more rows were written within those 30 seconds, if a poll has failed,
// if a poll was more than 30 seconds late, or if a clock was turned back.
//
// Watch returns when ctx ends, or after five polls have failed in a row. If
// [Options.Poll] is negative, it only waits for ctx.
func (p *Provider) Watch(ctx context.Context, gap func(), changed func(owner string)) error {
	if p.poll < 0 {
		<-ctx.Done()
		return wrap("watch", ctx.Err())
	}
	w := watch{provider: p, gap: gap, changed: changed, missed: true}
	for failed := 0; ; {
		err := w.poll(ctx, time.Now().UnixMicro())
		if err == nil {
			failed = 0
		} else if failed++; failed == maxFailed || ctx.Err() != nil {
			return wrap("watch", err)
		}
		select {
		case <-ctx.Done():
			return wrap("watch", ctx.Err())
		case <-time.After(p.poll):
		}
	}
}

// A watch is the state of a Watch.
type watch struct {
	provider *Provider
	gap      func()
	changed  func(owner string)

	last     int64            // when the last successful poll began, in microseconds
	missed   bool             // changes may have been missed
	reported map[rowKey]int64 // the rows of the last poll and their written_at
}

// poll reads before it calls gap. After the gap, the Manager asks again for every
// entitlement, so it sees what was committed before. The next poll finds changes that are
// committed after the read.
func (w *watch) poll(ctx context.Context, now int64) error {
	if passed := now - w.last; passed < 0 || passed > lookBack.Microseconds() {
		w.missed = true
	}
	since := w.last
	if w.missed {
		since = now
	}
	rows, err := w.provider.written(ctx, since-lookBack.Microseconds(), maxWritten+1)
	if err != nil {
		w.missed = true
		return err
	}
	w.last = now
	if len(rows) > maxWritten {
		rows, w.missed = nil, true
	}
	w.report(rows)
	return nil
}

// report remembers only the rows of this poll, since older ones are not read
// again.
func (w *watch) report(rows []writtenRow) {
	reported := make(map[rowKey]int64, len(rows))
	for _, row := range rows {
		reported[row.rowKey] = row.at
		if at, known := w.reported[row.rowKey]; !w.missed && (!known || at != row.at) {
			w.changed(row.owner)
		}
	}
	w.reported = reported
	if w.missed {
		w.missed = false
		w.gap()
	}
}

// A rowKey identifies a row.
type rowKey struct {
	table             int // 0 for a subscription or hold of the host's, 1 for an override, 2 for a record
	owner, source, id string
}

// A writtenRow identifies a written row and has its written_at in microseconds.
type writtenRow struct {
	rowKey
	at int64
}

func scanWrittenRow(rows *sql.Rows) (s writtenRow, err error) {
	err = rows.Scan(&s.table, &s.owner, &s.source, &s.id, &s.at)
	return s, err
}

// written returns the rows that were written since an instant, in no particular
// order.
func (p *Provider) written(ctx context.Context, since int64, limit int) ([]writtenRow, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return collect(ctx, p, scanWrittenRow, p.sql.written, since, since, since, since, limit)
}
