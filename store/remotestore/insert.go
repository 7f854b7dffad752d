package remotestore

import (
	"context"
	"errors"

	"github.com/keyhatch/keyhatch/store"
)

// Insert implements [store.Store].
func (s *Store) Insert(ctx context.Context, r store.Record, limit int) error {
	sent, err := recordOf(r)
	if err != nil {
		return verbInsert.unasked(err)
	}
	return s.do(ctx, verbInsert, insertQuestion{sent, &limit})
}

// do calls a method that returns only an error.
func (s *Store) do(ctx context.Context, v verb, question any) error {
	a, err := ask[doneAnswer](ctx, s, v, question)
	if err == nil && !a.Done {
		err = v.outage(errors.New("the response does not confirm the call"))
	}
	return err
}
