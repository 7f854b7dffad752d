package cluster_test

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// verbs lists the calls that an instance can run.
var verbs = map[string]func(r *role, args json.RawMessage) (any, error){
	"status":   verb((*role).status),
	"size":     verb((*role).size),
	"create":   timed((*role).create),
	"validate": timed((*role).validate),
	"revoke":   timed((*role).revoke),
	"rotate":   timed((*role).rotate),
	"disable":  timed((*role).disable),
	"enable":   timed((*role).enable),
	"bill":     verb((*role).bill),
	"answers":  verb((*role).answers),
	"watch":    verb((*role).watch),
	"watched":  verb((*role).watched),
	"warm":     verb((*role).warm),
	"load":     verb((*role).load),
	"pause":    verb((*role).pause),
	"paused":   verb((*role).paused),
	"resume":   verb((*role).resume),
}

func verb[A, R any](do func(*role, A) R) func(*role, json.RawMessage) (any, error) {
	return func(r *role, args json.RawMessage) (any, error) {
		var a A
		if len(args) > 0 {
			if err := json.Unmarshal(args, &a); err != nil {
				return nil, err
			}
		}
		return do(r, a), nil
	}
}

// timed returns a verb that records when the Manager's call began and ended.
func timed(do func(*role, context.Context, op) (apikey.Issued, error)) func(*role, json.RawMessage) (any, error) {
	return verb(func(r *role, o op) done {
		begin := time.Now()
		issued, err := do(r, context.Background(), o)
		end := time.Now()
		return done{Answer: answerOf(err), Begin: begin.UnixNano(), End: end.UnixNano(), Key: issued.Key.ID, Token: issued.Secret.Reveal()}
	})
}

func (r *role) create(ctx context.Context, o op) (apikey.Issued, error) {
	return r.keys.Create(ctx, apikey.CreateParams{Owner: o.Owner, Name: "proof"})
}

func (r *role) validate(ctx context.Context, o op) (apikey.Issued, error) {
	_, err := r.keys.Validate(ctx, o.Token)
	return apikey.Issued{}, err
}

func (r *role) revoke(ctx context.Context, o op) (apikey.Issued, error) {
	_, err := r.keys.Revoke(ctx, o.Owner, o.Key, "proof")
	return apikey.Issued{}, err
}

func (r *role) rotate(ctx context.Context, o op) (apikey.Issued, error) {
	issued, err := r.keys.Rotate(ctx, o.Owner, o.Key, 0)
	if err == nil && !issued.Propagated {
		err = apikey.ErrNotPropagated
	}
	return issued, err
}

func (r *role) disable(ctx context.Context, o op) (apikey.Issued, error) {
	return r.setDisabled(ctx, o, true)
}

func (r *role) enable(ctx context.Context, o op) (apikey.Issued, error) {
	return r.setDisabled(ctx, o, false)
}

func (r *role) setDisabled(ctx context.Context, o op, to bool) (apikey.Issued, error) {
	_, err := r.keys.Update(ctx, o.Owner, o.Key, apikey.UpdateParams{Disabled: &to})
	return apikey.Issued{}, err
}

// answers validates the tokens, sixteen at a time, and returns the results.
func (r *role) answers(tokens []string) []string {
	all := make([]string, len(tokens))
	var workers sync.WaitGroup
	for first := range 16 {
		workers.Go(func() {
			for i := first; i < len(tokens); i += 16 {
				_, err := r.keys.Validate(context.Background(), tokens[i])
				all[i] = answerOf(err)
			}
		})
	}
	workers.Wait()
	return all
}

func (r *role) status(struct{}) status {
	return status{BusUp: r.bus.up.Load(), Reads: r.store.reads.Load(), Goroutines: runtime.NumGoroutine()}
}

// size returns the status with the size of the heap after a garbage collection.
func (r *role) size(struct{}) status {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := r.status(struct{}{})
	s.Heap = m.HeapAlloc
	return s
}
