package cache

import "time"

const (
	maxPeers = 1024            // instances that are told apart
	settling = 2 * heartbeat   // in which all that there are have been heard
	longGone = 5 * time.Minute // until who said no farewell counts as gone
)

// A peer is another instance, as far as heard of it.
type peer struct {
	change uint64 // its count
	heard  time.Time
}

// peers are those that have been heard since the connection was ready.
type peers struct {
	ready time.Time
	known map[origin]peer
}

func newPeers(now time.Time) peers { return peers{now, map[origin]peer{}} }

// hear takes note of a message, and reports whether one before it is missing.
// The first that is heard of an instance may follow others that nobody was there
// to hear, but only soon after the connection was ready.
func (p *peers) hear(m message, now time.Time) (missed bool) {
	last, known := p.known[m.origin]
	switch {
	case known:
		missed = m.before() != last.change
	case len(p.known) >= maxPeers:
		clear(p.known)
		missed = true
	default:
		missed = m.before() != 0 && now.Sub(p.ready) > settling
	}
	if m.bye {
		delete(p.known, m.origin)
	} else {
		p.known[m.origin] = peer{m.change, now}
	}
	return missed || m.all
}

// silent reports whether an instance is not heard of any more, without having
// said that it ends. It may have crashed; or it goes on, and what it sends does
// not come here, which one's own messages cannot show where a broker is in two
// halves.
func (p *peers) silent(now time.Time) (somebody bool) {
	for o, peer := range p.known {
		switch quiet := now.Sub(peer.heard); {
		case quiet > longGone:
			delete(p.known, o)
		case quiet > silence:
			somebody = true
		}
	}
	return somebody
}
