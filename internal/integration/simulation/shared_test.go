package simulation_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A shelf is the shared cache.
type shelf struct {
	mu     sync.Mutex
	items  map[cache.Key]sharedItem
	leases map[cache.Key]lease
	count  int
}

type sharedItem struct {
	cache.Item
	granted, ends time.Time
}

type lease struct {
	name    string
	granted time.Time
}

func newShelf() *shelf {
	return &shelf{items: map[cache.Key]sharedItem{}, leases: map[cache.Key]lease{}}
}

// A sharedView is one instance's access to the shared cache.
type sharedView struct {
	w *world
	i *instance
}

func (v *sharedView) reach(ctx context.Context, name string, about any) error {
	v.w.note(v.i, "asks the shared cache: ", name, " ", about)
	switch {
	case v.i.isDead() || v.w.broken(v.i, sharedError):
		return v.w.fail(ctx, "shared", v.i.n, name, about)
	case v.w.broken(v.i, sharedHang):
		<-ctx.Done()
		return ctx.Err()
	}
	return v.w.pause(ctx, 5*time.Millisecond, "shared", v.i.n, name, about, v.w.now())
}

func (v *sharedView) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	if err := v.reach(ctx, "get", key); err != nil {
		return cache.Item{}, "", err
	}
	s := v.w.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.items[key]; ok && time.Now().Before(i.ends) {
		i.Age = time.Since(i.granted)
		return i.Item, "", nil
	}
	l := s.leases[key]
	if l.name == "" || time.Since(l.granted) >= cache.MaxLease {
		s.count++
		l = lease{fmt.Sprint("lease ", s.count), time.Now()}
		s.leases[key] = l
	}
	return cache.Item{}, l.name, cache.ErrMiss
}

func (v *sharedView) Set(ctx context.Context, key cache.Key, name string, item cache.Item, ttl time.Duration) error {
	if err := v.reach(ctx, "set", key); err != nil {
		return err
	}
	s := v.w.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[key]
	if l.name != name || time.Since(l.granted) >= cache.MaxLease || ttl <= 0 {
		return nil
	}
	item.Value = bytes.Clone(item.Value)
	s.items[key] = sharedItem{item, l.granted, l.granted.Add(ttl)}
	return nil
}

func (v *sharedView) Delete(ctx context.Context, keys ...cache.Key) error {
	if err := v.reach(ctx, "delete", keys); err != nil {
		return err
	}
	s := v.w.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.items, key)
		delete(s.leases, key)
	}
	if v.w.broken(v.i, sharedLost) {
		return errFault
	}
	return nil
}
