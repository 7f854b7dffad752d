package cache

import (
	"context"
	"sync/atomic"
	"time"
)

// These declarations give external tests access to internals.

// A Message is a message that a test forges, or decodes.
type Message struct {
	Origin, Nonce []byte
	Seq, Change   uint64
	Ago, Next     time.Duration
	Size          uint32
	Mark          uint64
	All, Leaving  bool
	Keys, Groups  []Key
}

// Encode returns the message as an instance with this secret would send it.
func (m Message) Encode(key ...byte) string {
	out := message{seq: m.Seq, change: m.Change, ago: m.Ago, next: m.Next, size: m.Size, mark: m.Mark, all: m.All, leaving: m.Leaving, keys: m.Keys, tags: m.Groups}
	copy(out.origin[:], m.Origin)
	copy(out.nonce[:], m.Nonce)
	return out.encode(key)
}

func DecodeMessage(text string, key ...byte) (Message, error) {
	m, err := decode(text, key)
	return Message{m.origin[:], m.nonce[:], m.seq, m.change, m.ago, m.next, m.size, m.mark, m.all, m.leaving, m.keys, m.tags}, err
}

// Peers returns the number of other instances that are tracked.
func (g *Group) Peers() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.peers.known)
}

// HeartbeatInterval returns the interval between heartbeats to all instances, if there are size
// instances.
func HeartbeatInterval(size int) time.Duration { return (&peers{fleet: size}).interval() }

// Origin returns the instance's own origin.
func (g *Group) Origin() []byte { return g.origin[:] }

const (
	MaxPeers  = maxPeers
	MaxLinks  = maxLinks
	AloneTTL  = aloneTTL
	Silence   = silence
	Lateness  = lateness
	GoneAfter = goneAfter
)

// Write calls Change with keys and a write that ignores its context.
func (c *Cache[V]) Write(write func() error, keys ...Key) error {
	_, err := c.Change(context.Background(), keys, nil, func(context.Context) (bool, error) { return true, write() })
	return err
}

// WriteGroup calls Change with a group.
func (c *Cache[V]) WriteGroup(write func() error, group Key) error {
	_, err := c.Change(context.Background(), nil, []Key{group}, func(context.Context) (bool, error) { return true, write() })
	return err
}

// These methods call those that a Group calls.
func (c *Cache[V]) Invalidate(keys ...Key)                         { c.invalidate(keys, nil) }
func (c *Cache[V]) InvalidateGroup(group Key)                      { c.invalidate(nil, []Key{group}) }
func (c *Cache[V]) ExtendLease(until time.Time, ttl time.Duration) { c.extendLease(until, ttl) }
func (c *Cache[V]) Disconnect(ttl time.Duration)                   { c.disconnect(ttl) }

// EvictAbsent removes an absent entry, as another one may at any time.
func (c *Cache[V]) EvictAbsent(key Key) {
	if e := c.table.absent.get(&key); e != nil {
		c.table.absent.remove(e)
	}
}

// FromShared returns l, marked as a value of the shared cache.
func (l Loaded[V]) FromShared() Loaded[V] {
	l.fromShared = true
	return l
}

// An Observed counts the calls of its Group. It passes them on to the Cache, unless that is
// nil.
type Observed struct {
	*Cache[int64]
	StaleMarks, Invalidations, Disconnects, Limits atomic.Int64
	Until                                          atomic.Pointer[time.Time] // end of the lease
}

func (o *Observed) joined(g *Group) {
	if o.Cache != nil {
		o.Cache.joined(g)
	}
}

func (o *Observed) invalidate(keys, tags []Key) {
	if len(keys)+len(tags) > 0 {
		o.Invalidations.Add(1)
	}
	if o.Cache != nil {
		o.Cache.invalidate(keys, tags)
	}
}

func (o *Observed) MarkStale() {
	o.StaleMarks.Add(1)
	if o.Cache != nil {
		o.Cache.MarkStale()
	}
}

func (o *Observed) extendLease(until time.Time, ttl time.Duration) {
	o.Until.Store(&until)
	if ttl != 0 {
		o.Limits.Add(1)
	}
	if o.Cache != nil {
		o.Cache.extendLease(until, ttl)
	}
}

func (o *Observed) disconnect(ttl time.Duration) {
	o.Disconnects.Add(1)
	if o.Cache != nil {
		o.Cache.disconnect(ttl)
	}
}

// Publish tells the other instances to invalidate keys. PublishGroup tells them to invalidate a
// group.
func (g *Group) Publish(ctx context.Context, keys ...Key) error { return g.publish(ctx, keys, nil) }
func (g *Group) PublishGroup(ctx context.Context, group Key) error {
	return g.publish(ctx, nil, []Key{group})
}
