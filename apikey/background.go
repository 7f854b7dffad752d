package apikey

import "context"

// A background is a goroutine that runs until it is closed. A nil background has ended.
type background struct {
	stop context.CancelFunc
	done chan struct{}
}

// startBackground calls run, which must return soon after its context has ended.
func startBackground(run func(ctx context.Context)) *background {
	ctx, stop := context.WithCancel(context.Background())
	b := &background{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		run(ctx)
	}()
	return b
}

// close ends the context of run and waits until it has returned.
func (b *background) close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.stop()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
