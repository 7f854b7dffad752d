package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyhatch/keyhatch/store"
)

// A line says that a call begins, succeeded or failed.
type line struct {
	Step  string // its name
	Owner string `json:",omitempty"` // where it is not the ID
	ID    string
	Call  string
	State string
}

const (
	create = "create" // the calls
	change = "change"

	tried  = "tried" // the states; what was only tried, or failed, may have happened
	done   = "done"
	failed = "failed"
)

func (l line) owner() string {
	if l.Owner != "" {
		return l.Owner
	}
	return l.ID
}

// A journal is what a writing process said, in order.
type journal []line

func (j journal) done() journal   { return j.in(done) }
func (j journal) failed() journal { return j.in(failed) }

func (j journal) in(state string) (lines journal) {
	for _, l := range j {
		if l.State == state {
			lines = append(lines, l)
		}
	}
	return lines
}

// find reads whatever the journal speaks of.
func (j journal) find(ctx context.Context, s store.Store) (map[string]store.Record, error) {
	found := map[string]store.Record{}
	for _, l := range j.in(tried) {
		for _, id := range []string{l.ID, successor(store.Record{ID: l.ID}).ID} {
			r, err := s.Get(ctx, l.owner(), id)
			if err == nil {
				found[id] = r
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		}
	}
	return found, nil
}

// A fate is what the journal says of one record.
type fate struct {
	line
	created, tried, changed bool // acknowledged; its change begun; its change acknowledged
}

func (j journal) fates() map[string]fate {
	fates := map[string]fate{}
	for _, l := range j {
		f := fates[l.ID]
		f.line = l
		f.created = f.created || l.Call == create && l.State == done
		f.tried = f.tried || l.Call == change
		f.changed = f.changed || l.Call == change && l.State == done
		fates[l.ID] = f
	}
	return fates
}

// faults tells what is there and should not be, and what should be and is not.
func (j journal) faults(found map[string]store.Record) (faults []string) {
	admitted := map[string]int{}
	for id, f := range j.fates() {
		is := outcome{found[id], found[successor(found[id]).ID]}
		before, after := f.outcomes()
		switch {
		case is.same(outcome{}) && !f.created:
		case is.same(before) && !f.changed:
		case is.same(after) && f.tried:
		default:
			faults = append(faults, fmt.Sprintf("%s: create acknowledged %v, change begun %v and acknowledged %v:\n got %+v\nwant %+v\n  or %+v",
				id, f.created, f.tried, f.changed, is, before, after))
		}
		if _, there := found[id]; there && f.Step == "limit" {
			admitted[f.owner()]++
		}
	}
	for owner, n := range admitted {
		if n > crashLimit {
			faults = append(faults, fmt.Sprintf("%s has %d records, want at most %d", owner, n, crashLimit))
		}
	}
	return faults
}

// An outcome is a record and what replaced it, if anything did.
type outcome struct{ record, successor store.Record }

func (o outcome) same(p outcome) bool {
	return same(o.record, p.record) && same(o.successor, p.successor)
}

// outcomes are the record before and after the change of its step.
func (l line) outcomes() (before, after outcome) {
	before.record = fresh(l.owner(), l.ID)
	after = before
	for _, st := range steps {
		if st.name == l.Step && st.left != nil {
			after = st.left(before.record)
		}
	}
	return before, after
}
