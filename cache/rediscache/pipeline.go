package rediscache

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	maxFlights  = 4   // concurrent round trips of a pipeline; further calls wait
	maxTogether = 256 // calls in a round trip
)

// A pipeline sends the scripts of concurrent calls in one round trip. A single call
// is sent at once.
type pipeline struct {
	client redis.UniversalClient
	bound  func() (context.Context, context.CancelFunc) // returns the context of a round trip

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

// run runs a script, together with the scripts of concurrent calls. It returns early if ctx
// ends; the script may still run then.
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
		go p.sendAll()
	}
}

// sendAll sends the waiting calls until there are none.
func (p *pipeline) sendAll() {
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
		p.waiting = nil // releases the array
		p.flights--
	}
	return calls
}

// send sends the digests of the scripts, and then the source of each script that the
// server does not know.
func (p *pipeline) send(calls []*scriptCall) {
	ctx, cancel := p.bound()
	defer cancel()
	defer finish(calls) // even if the client panics, which must not block callers or end the process
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

// finish completes the calls. It must be deferred, since it recovers from a panic.
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

// exec runs the scripts in one round trip and stores each result in its call.
func (p *pipeline) exec(ctx context.Context, calls []*scriptCall, eval func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd) {
	pipe := p.client.Pipeline()
	for _, c := range calls {
		c.result = eval(c.script, ctx, pipe, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each result has its own error
}
