package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// crashLimit is the maximum number of records that the step "limit" may create.
const crashLimit = 2

// steps holds the calls that a writing process repeats, each for a new owner.
var steps = map[string][]call{
	"create":  {{Op: "insert", ID: "a"}},
	"limit":   {{Op: "insert", ID: "a", Limit: crashLimit}, {Op: "insert", ID: "b", Limit: crashLimit}, {Op: "insert", ID: "c", Limit: crashLimit}},
	"disable": {{Op: "insert", ID: "a"}, {Op: "update", ID: "a"}},
	"touch":   {{Op: "insert", ID: "a"}, {Op: "insert", ID: "b"}, {Op: "touch", ID: "a", Other: "b"}},
	"revoke":  {{Op: "insert", ID: "a"}, {Op: "revoke", ID: "a"}},
	"close":   {{Op: "insert", ID: "a"}, {Op: "insert", ID: "b"}, {Op: "insert", ID: "c"}, {Op: "revoke all"}},
	"rotate":  {{Op: "insert", ID: "a"}, {Op: "rotate", ID: "a", Other: "b"}, {Op: "rotate", ID: "b", Other: "c"}, {Op: "rotate", ID: "c", Other: "d"}},
	"expire":  {{Op: "insert", ID: "a"}, {Op: "expire", ID: "a", Other: "b"}, {Op: "expire", ID: "b", Other: "c"}, {Op: "expire", ID: "c", Other: "d"}},
}

// of returns the call for an owner.
func (c call) of(owner string) call {
	c.Owner = owner
	for _, id := range []*string{&c.ID, &c.Other} {
		if *id != "" {
			*id = owner + "-" + *id
		}
	}
	return c
}

// write repeats all steps concurrently and forever, so that a crash hits every kind of
// write while it runs or waits. The parent writes bytes to marks. Each line that write reports
// contains the number of bytes that had arrived when the call began.
func write(open Opener, address, round string, to io.Writer, marks io.Reader) error {
	ctx := context.Background()
	s, _, err := open(ctx, address)
	if err != nil {
		return err
	}
	r := &recorder{to: json.NewEncoder(to)}
	ended := make(chan error)
	go func() { ended <- r.count(marks) }()
	for name, calls := range steps {
		go func() {
			var err error
			for n := 0; err == nil; n++ {
				err = r.run(ctx, s, name, fmt.Sprintf("%s-%s-%d", name, round, n), calls)
			}
			ended <- err
		}()
	}
	return <-ended
}

// A recorder writes a journal. Several goroutines may use it.
type recorder struct {
	mu   sync.Mutex // guards to
	to   interface{ Encode(any) error }
	mark atomic.Int64
}

func (r *recorder) count(marks io.Reader) error {
	for one := make([]byte, 1); ; r.mark.Add(1) {
		if _, err := io.ReadFull(marks, one); err != nil {
			return err
		}
	}
}

// run makes the calls of one step until one fails: after a failed call, the owner's
// records are not known.
func (r *recorder) run(ctx context.Context, s store.Store, name, owner string, calls []call) error {
	for _, c := range calls {
		c = c.of(owner)
		begun := line{Step: name, Owner: owner, Mark: r.mark.Load(), Call: &c}
		if err := r.say(begun); err != nil {
			return err
		}
		err := c.do(ctx, s)
		ended := line{Step: name, Owner: owner, Mark: begun.Mark, Result: resultOf(err)}
		if ended.Result == outage {
			ended.Reason = err.Error()
		}
		if err := r.say(ended); err != nil {
			return err
		}
		if ended.Result == outage {
			time.Sleep(10 * time.Millisecond) // do not flood a server that is down
			return nil
		}
	}
	return nil
}

func (r *recorder) say(l line) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to.Encode(l)
}
