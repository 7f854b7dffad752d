package cache

import "time"

const (
	maxPeers = 4096            // instances that this one keeps track of
	longGone = 5 * time.Minute // until a silent instance counts as gone
	lateness = 2 * time.Second // of a message that is not missed yet

	// presences bounds what all instances together deliver of messages that say
	// only that their senders are there, in a second.
	presences = 2500
)

// A peer is another instance, as its last message has it.
type peer struct {
	seq, change uint64
	size        int       // how many instances it knows
	due         time.Time // when it is silent
	gone        time.Time // when it is forgotten
	left        bool      // it said farewell
	away        bool      // what it sent since may have come before the connection was ready
}

// peers are the other instances. They are kept over connections: a new one may
// lead to the other half of a broker, where they are silent.
type peers struct {
	ready    time.Time // when the connection was
	known    map[origin]peer
	unsigned bool      // anyone may have sent the messages
	strange  time.Time // until when there may be others that are not known, or changes that are lost
	size     int       // how many instances are known, this one included
	fleet    int       // how many the one knows that knows most
}

// every is how often an instance tells all others that it is there. Each such
// message is delivered to all, so the time grows with the square of their number.
func (p *peers) every() time.Duration {
	return max(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet)/presences)
}

// reconnect is for a new connection.
func (p *peers) reconnect(now time.Time) {
	p.ready = now
	for o, k := range p.known {
		if k.away = true; k.due.Before(now.Add(silence)) {
			k.due = now.Add(silence)
		}
		p.known[o] = k
	}
}

// stranger takes note of what no known instance has sent, or what shows that a
// change is lost. It may also be forged or an old message repeated, and then there
// may be any number of it. So it does what a lost bus does, and no more: everything
// is marked stale once, and for a while what is loaded lives shorter.
func (p *peers) stranger(now time.Time) { p.strange = now.Add(aloneTTL) }

// hear takes note of a message, and reports whether one before it is missing.
// One that was heard before, or comes late, says nothing: it may be repeated in
// order to hide that its origin is silent.
//
// Other messages may precede the first one that arrives from an instance, but only if
// they were sent before the connection was ready.
func (p *peers) hear(m message, now time.Time) (missed bool) {
	if p.unsigned { // a forged message must not make instances quiet, or one expected, for long
		m.size, m.next = 0, min(m.next, p.every())
	}
	last, known := p.known[m.origin]
	switch {
	case known && m.seq <= last.seq:
		return false
	case !known && len(p.known) >= maxPeers:
		p.stranger(now)
		return m.all
	case known && !last.away:
		missed = m.before() != last.change
	default:
		missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)
	}
	due := now.Add(m.next + lateness)
	p.fleet = max(p.fleet, min(int(m.size), maxPeers))
	p.known[m.origin] = peer{m.seq, m.change, int(m.size), due, due.Add(longGone), m.bye, false}
	return missed || m.all
}

// countAsSilent is for a farewell that anyone may have forged: the instance counts as
// silent for a while, since what it sends may be lost.
func (p *peers) countAsSilent(o origin, now time.Time, ttl time.Duration) {
	k := p.known[o]
	k.left, k.due, k.gone = false, now, now.Add(ttl)
	p.known[o] = k
}

// review counts the instances. It reports whether one has become silent without having
// said that it ends. It may have crashed; or it goes on, and what it
// sends does not come here, which one's own messages cannot show where a broker
// is in two halves.
func (p *peers) review(now time.Time) (silent bool) {
	silent = now.Before(p.strange)
	p.size, p.fleet = 1, 1
	for o, k := range p.known {
		switch {
		case now.After(k.gone):
			delete(p.known, o)
		case !k.left:
			silent = silent || !now.Before(k.due)
			p.size++
			p.fleet = max(p.fleet, min(k.size, maxPeers))
		}
	}
	p.fleet = max(p.fleet, p.size)
	return silent
}
