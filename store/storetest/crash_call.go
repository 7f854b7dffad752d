package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// A call is a call that a writing process makes. All times are fixed, so that its effect
// is known.
type call struct {
	Op    string
	Owner string
	ID    string `json:",omitempty"`
	Other string `json:",omitempty"` // the successor, or the second key used
	Limit int    `json:",omitempty"` // limit of an insert; 0: none
}

// A world holds the records of one owner by ID.
type world map[string]store.Record

// An operation runs a call, and applies its expected effect to a world.
type operation struct {
	do func(ctx context.Context, s store.Store, c call) error
	on func(w world, c call) error // changes w unless it returns an error
}

var operations = map[string]operation{
	"insert": {doInsert, onInsert}, "update": {doUpdate, onUpdate}, "touch": {doTouch, onTouch},
	"revoke": {doRevoke, onRevoke}, "revoke all": {doRevokeAll, onRevokeAll},
	"rotate": rotation(begin), "expire": rotation(begin.Add(time.Hour)),
}

func (c call) do(ctx context.Context, s store.Store) error { return operations[c.Op].do(ctx, s, c) }

// on returns the world after the call, and the call's error.
func (c call) on(w world) (world, string) {
	after := maps.Clone(w)
	if err := operations[c.Op].on(after, c); err != nil {
		return w, resultOf(err)
	}
	return after, succeeded
}

const (
	succeeded = "success"
	outage    = "outage"
)

// resultOf returns the result of a call for the journal: success, outage or the message of
// a sentinel.
func resultOf(err error) string {
	if err == nil {
		return succeeded
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	return outage
}

// ids returns the IDs in the call.
func (c call) ids() []string {
	return slices.DeleteFunc([]string{c.ID, c.Other}, func(id string) bool { return id == "" })
}

func doInsert(ctx context.Context, s store.Store, c call) error {
	limit := c.Limit
	if limit == 0 {
		limit = -1
	}
	return s.Insert(ctx, fresh(c.Owner, c.ID), limit)
}

func onInsert(w world, c call) error {
	counted := 0
	for _, r := range w {
		successor := w[r.ReplacedBy]
		if r.CountsAgainstLimit(begin, &successor) {
			counted++
		}
	}
	if c.Limit > 0 && counted >= c.Limit {
		return store.ErrLimit
	}
	w[c.ID] = fresh(c.Owner, c.ID)
	return nil
}

// changed sets several fields, so that a partial change is detected.
func changed() store.Change {
	name, at := "changed", begin
	return store.Change{
		At: begin, Name: &name, Scopes: []string{"changed"},
		Metadata: map[string]string{"env": "changed"}, DisabledAt: &at,
	}
}

func doUpdate(ctx context.Context, s store.Store, c call) error {
	_, err := s.Update(ctx, c.Owner, c.ID, changed())
	return err
}

func onUpdate(w world, c call) error {
	r, err := w[c.ID].WithChange(changed())
	if err == nil {
		w[c.ID] = r
	}
	return err
}

func doTouch(ctx context.Context, s store.Store, c call) error {
	var uses []store.Use
	for _, id := range c.ids() {
		uses = append(uses, store.Use{Digest: digest(id), At: begin.Add(time.Minute)})
	}
	slices.SortFunc(uses, func(a, b store.Use) int { return slices.Compare(a.Digest[:], b.Digest[:]) })
	return s.Touch(ctx, uses)
}

func onTouch(w world, c call) error {
	for _, id := range c.ids() {
		r := w[id]
		r.LastUsedAt = begin.Add(time.Minute)
		w[id] = r
	}
	return nil
}

func doRevoke(ctx context.Context, s store.Store, c call) error {
	_, _, err := s.Revoke(ctx, c.Owner, c.ID, begin, "leaked")
	return err
}

func onRevoke(w world, c call) error {
	w[c.ID], _ = w[c.ID].WithRevocation(begin, "leaked")
	return nil
}

func doRevokeAll(ctx context.Context, s store.Store, c call) error {
	_, err := s.RevokeAll(ctx, c.Owner, begin, "closed")
	return err
}

func onRevokeAll(w world, _ call) error {
	for id, r := range w {
		w[id], _ = r.WithRevocation(begin, "closed")
	}
	return nil
}

func rotation(ends time.Time) operation {
	return operation{
		func(ctx context.Context, s store.Store, c call) error {
			_, _, err := s.Rotate(ctx, c.Owner, c.ID, next(c.Other, begin), ends, -1)
			return err
		},
		func(w world, c call) error {
			old, now, err := w[c.ID].WithSuccessor(begin, next(c.Other, begin), ends)
			if err == nil {
				w[c.ID], w[c.Other] = old, now
			}
			return err
		},
	}
}
