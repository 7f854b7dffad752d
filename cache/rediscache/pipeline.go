package rediscache

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	// maxFlights is how many round trips of a pipeline are under way at once. Calls
	// that come meanwhile wait, and go together.
	maxFlights = 4

	// maxTogether is how many calls go in one round trip.
	maxTogether = 256
)

// A pipeline sends the scripts of concurrent calls together, in one round trip
// for many. A call that is alone does not wait for others.
type pipeline struct {
	client redis.UniversalClient
	bound  func() (context.Context, context.CancelFunc) // of a round trip

	mu      sync.Mutex
	waiting []*scriptCall
	flights int
}

// A scriptCall is a script to run, and its result once done is closed.
type scriptCall struct {
	script *redis.Script
	keys   []string
	args   []any
	result *redis.Cmd
	done   chan struct{}
}

// run runs a script with others. It returns early if ctx ends; the script may run
// even so.
func (p *pipeline) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	c := &scriptCall{script: script, keys: keys, args: args, done: make(chan struct{})}
	p.add(c)
	select {
	case <-c.done:
		return c.result
	case <-ctx.Done():
		return ended(ctx)
	}
}

func ended(ctx context.Context) *redis.Cmd {
	failed := redis.NewCmd(ctx)
	failed.SetErr(ctx.Err())
	return failed
}

func (p *pipeline) add(c *scriptCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, c)
	if p.flights < maxFlights {
		p.flights++
		go p.fly()
	}
}

// fly sends what waits until nothing does.
func (p *pipeline) fly() {
	for {
		calls := p.take()
		if len(calls) == 0 {
			return
		}
		p.send(calls)
	}
}

func (p *pipeline) take() []*scriptCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.waiting), maxTogether)
	calls := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	if n == 0 {
		p.waiting = nil // the array behind it
		p.flights--
	}
	return calls
}

// send names the scripts by their digests, and sends those whole that the server
// does not have.
func (p *pipeline) send(calls []*scriptCall) {
	ctx, cancel := p.bound()
	defer cancel()
	defer finish(calls) // also when the client panics: they must not wait, nor end the process
	p.exec(ctx, calls, (*redis.Script).EvalSha)
	var unknown []*scriptCall
	for _, c := range calls {
		if redis.HasErrorPrefix(c.result.Err(), "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 {
		p.exec(ctx, unknown, (*redis.Script).Eval)
	}
}

// finish must be deferred.
func finish(calls []*scriptCall) {
	panicked := recover()
	for _, c := range calls {
		if panicked != nil {
			c.result = redis.NewCmd(context.Background())
			c.result.SetErr(fmt.Errorf("panic: %v", panicked))
		}
		close(c.done)
	}
}

// exec leaves each result, or its error, with its call.
func (p *pipeline) exec(ctx context.Context, calls []*scriptCall, eval func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd) {
	pipe := p.client.Pipeline()
	for _, c := range calls {
		c.result = eval(c.script, ctx, pipe, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each result has its own error
}
