package cache

import "time"

const (
	maxPeers  = 4096            // other instances that are tracked
	goneAfter = 5 * time.Minute // after it became silent, an instance counts as gone
	lateness  = 2 * time.Second // how late a heartbeat may be before its sender counts as silent

	// heartbeatRate is the maximum number of heartbeats per second that the broker
	// delivers to all instances together.
	heartbeatRate = 2500
)

// A peer is another instance, as described by its last message.
type peer struct {
	seq, change uint64
	size        int       // number of instances that it knows
	heard       time.Time // time of that message
	due         time.Time // deadline of its next heartbeat, by its own interval
	gone        time.Time // deadline after which it is no longer tracked
	left        bool      // its last message said that it leaves
	away        bool      // no message has arrived since the connection was replaced, so changes may be missing
}

// peers tracks the other instances. It survives a connection, since a new connection may
// lead to the other half of a split broker, where the known instances are silent.
type peers struct {
	ready    time.Time // time at which the connection became ready
	known    map[origin]peer
	unsigned bool      // messages are not authenticated
	limited  time.Time // until then, there may be unknown instances or lost changes
	size     int       // number of known instances, including this one
	fleet    int       // largest number of instances that any instance knows
}

// interval returns the interval between heartbeats to all instances. Each is delivered to
// all, so the interval grows with the square of the number of instances.
func (p *peers) interval() time.Duration {
	return max(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet)/heartbeatRate)
}

// reconnect must be called on a new connection.
func (p *peers) reconnect(now time.Time) {
	p.ready = now
	for o, k := range p.known {
		k.away = true
		k.due = laterOf(k.due, now.Add(silence))
		k.heard = laterOf(k.heard, now.Add(silence-p.interval()-lateness))
		p.known[o] = k
	}
}

// limit must be called for a message of an instance that cannot be tracked, and for one
// that shows that a change is lost. An attacker may forge or repeat any number of such
// messages. So their effect is only that of a lost bus: all entries are marked stale
// once, and new entries expire early for a while.
func (p *peers) limit(now time.Time) { p.limited = now.Add(aloneTTL) }

// receive records a message, and reports whether an earlier change is missing. It ignores
// a message that is not newer than the last one: an attacker may repeat an old message to
// hide that the origin is silent.
//
// Changes that an instance made before its first message count as missing, unless they were sent
// before the connection was ready.
func (p *peers) receive(m message, now time.Time) (missed bool) {
	if p.unsigned { // a forged message must not lengthen the interval
		m.size = 0
	}
	last, known := p.known[m.origin]
	switch {
	case known && m.seq <= last.seq:
		return false
	case !known && len(p.known) >= maxPeers:
		p.limit(now)
		return m.all
	case known && !last.away:
		missed = m.before() != last.change
	default:
		missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)
	}
	p.fleet = max(p.fleet, min(int(m.size), maxPeers))
	k := peer{seq: m.seq, change: m.change, size: int(m.size), heard: now, due: now.Add(m.next + lateness), left: m.leaving}
	k.gone = p.deadline(k).Add(goneAfter)
	p.known[m.origin] = k
	return missed || m.all
}

// deadline returns the time from which an instance counts as silent. A forged message must
// not delay it, so without authentication it is no later than by this instance's own
// interval. That may grow after the message has arrived: an instance that has just started
// knows only a few others.
func (p *peers) deadline(k peer) time.Time {
	if own := k.heard.Add(p.interval() + lateness); p.unsigned && own.Before(k.due) {
		return own
	}
	return k.due
}

// countAsSilent must be called for an instance that leaves, if its message is not
// authenticated. It may be forged, and later messages of the instance may be lost, so the
// instance counts as silent for a while.
func (p *peers) countAsSilent(o origin, now time.Time, ttl time.Duration) {
	k := p.known[o]
	k.left, k.due, k.gone = false, now, now.Add(ttl)
	p.known[o] = k
}

// review counts the instances, and reports whether one that has not left is silent. It
// may have crashed. Or the broker is split and its messages do not arrive, which this
// instance cannot detect by its own echoes.
func (p *peers) review(now time.Time) (silent bool) {
	size, fleet := 1, 1
	for o, k := range p.known {
		if now.After(k.gone) {
			delete(p.known, o)
		} else if !k.left {
			size++
			fleet = max(fleet, min(k.size, maxPeers))
		}
	}
	p.size, p.fleet = size, max(fleet, size)
	silent = now.Before(p.limited)
	for _, k := range p.known {
		silent = silent || !k.left && !now.Before(p.deadline(k))
	}
	return silent
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
