package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A step creates a record with a new id and does one thing to it. All times are
// fixed, so that what it leaves is known.
type step struct {
	name string
	do   func(ctx context.Context, s store.Store, r store.Record) error
	left func(r store.Record) outcome
}

// The step "limit" makes so many records where so many are admitted.
const (
	crashLimit = 2
	crashTries = 3
)

var steps = []step{
	{"create", nil, nil},
	{"limit", nil, nil},
	{"revoke", revokeStep, func(r store.Record) outcome {
		r, _ = r.Revoked(begin, "leaked")
		return outcome{record: r}
	}},
	{"close", closeStep, func(r store.Record) outcome {
		r, _ = r.Revoked(begin, "closed")
		return outcome{record: r}
	}},
	{"disable", disableStep, func(r store.Record) outcome {
		r.DisabledAt = begin
		return outcome{record: r}
	}},
	{"touch", touchStep, func(r store.Record) outcome {
		r.LastUsedAt = begin.Add(time.Minute)
		return outcome{record: r}
	}},
	{"rotate", rotateStep(begin), rotated(begin)},
	{"expire", rotateStep(begin.Add(time.Hour)), rotated(begin.Add(time.Hour))},
}

func revokeStep(ctx context.Context, s store.Store, r store.Record) error {
	_, _, err := s.Revoke(ctx, r.Owner, r.ID, begin, "leaked")
	return err
}

func closeStep(ctx context.Context, s store.Store, r store.Record) error {
	_, err := s.RevokeAll(ctx, r.Owner, begin, "closed")
	return err
}

func disableStep(ctx context.Context, s store.Store, r store.Record) error {
	at := begin
	_, err := s.Update(ctx, r.Owner, r.ID, store.Change{At: begin, DisabledAt: &at})
	return err
}

func touchStep(ctx context.Context, s store.Store, r store.Record) error {
	return s.Touch(ctx, []store.Use{{Digest: r.Digest, At: begin.Add(time.Minute)}})
}

func successor(r store.Record) store.Record { return next(r.ID+"-next", begin) }

func rotateStep(ends time.Time) func(context.Context, store.Store, store.Record) error {
	return func(ctx context.Context, s store.Store, r store.Record) error {
		_, _, err := s.Rotate(ctx, r.Owner, r.ID, successor(r), ends)
		return err
	}
}

func rotated(ends time.Time) func(store.Record) outcome {
	return func(r store.Record) outcome {
		old, now, err := r.Rotated(successor(r), ends)
		if err != nil {
			panic(err)
		}
		return outcome{old, now}
	}
}

// write repeats every step for ever, all at once, so that a crash comes while
// each kind of write is under way or waits for its turn. It returns when the
// store said of a record what cannot be.
func write(open Opener, address, round string, to io.Writer) error {
	ctx := context.Background()
	s, _, err := open(ctx, address)
	if err != nil {
		return err
	}
	j := &recorder{to: json.NewEncoder(to)}
	ended := make(chan error)
	for _, st := range steps {
		go func() {
			var err error
			for n := 0; err == nil; n++ {
				err = st.run(ctx, s, j, fmt.Sprintf("%s-%s-%d", st.name, round, n))
			}
			ended <- err
		}()
	}
	return <-ended
}

// run takes one step. Each record has an owner to itself, named like it.
func (st step) run(ctx context.Context, s store.Store, j *recorder, id string) error {
	if st.name == "limit" {
		return limited(ctx, s, j, id)
	}
	r := fresh(id, id)
	created, err := j.call(line{Step: st.name, ID: id, Call: create}, func() error { return s.Insert(ctx, r, -1) })
	if err != nil || !created || st.do == nil {
		return err
	}
	_, err = j.call(line{Step: st.name, ID: id, Call: change}, func() error { return st.do(ctx, s, r) })
	return err
}

// limited creates one record more than the limit admits.
func limited(ctx context.Context, s store.Store, j *recorder, owner string) error {
	for n := range crashTries {
		r := fresh(owner, fmt.Sprintf("%s-%d", owner, n))
		l := line{Step: "limit", ID: r.ID, Owner: owner, Call: create}
		_, err := j.call(l, func() error {
			err := s.Insert(ctx, r, crashLimit)
			if errors.Is(err, store.ErrLimit) {
				return fmt.Errorf("as it should: %v", err) // an outcome like a failure: the record may not be there
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A recorder writes a journal, from several goroutines.
type recorder struct {
	mu sync.Mutex
	to interface{ Encode(any) error }
}

// call says that a call begins and how it ended.
func (j *recorder) call(l line, do func() error) (ok bool, err error) {
	l.State = tried
	if err := j.say(l); err != nil {
		return false, err
	}
	switch err := do(); {
	case err == nil:
		l.State = done
	case isSentinel(err):
		return false, fmt.Errorf("%s of %s: %w", l.Call, l.ID, err)
	default:
		l.State = failed
		time.Sleep(10 * time.Millisecond) // rather than flood a server that is down
	}
	return l.State == done, j.say(l)
}

func (j *recorder) say(l line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.to.Encode(l)
}
