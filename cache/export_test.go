package cache

import "time"

// What the external tests see beyond the API.

// A Message is what a test forges, or reads of what was sent.
type Message struct {
	Origin, Beat []byte
	Seq, Change  uint64
	Ago, Next    time.Duration
	Size         uint32
	Mark         uint64
	All, Bye     bool
	Keys, Groups []Key
}

// Encode is what an instance would send that has this secret.
func (m Message) Encode(key ...byte) string {
	out := message{seq: m.Seq, change: m.Change, ago: m.Ago, next: m.Next, size: m.Size, mark: m.Mark, all: m.All, bye: m.Bye, keys: m.Keys, groups: m.Groups}
	copy(out.origin[:], m.Origin)
	copy(out.beat[:], m.Beat)
	return out.encode(key)
}

func DecodeMessage(text string, key ...byte) (Message, error) {
	m, err := decode(text, key)
	return Message{m.origin[:], m.beat[:], m.seq, m.change, m.ago, m.next, m.size, m.mark, m.all, m.bye, m.keys, m.groups}, err
}

// Peers is how many other instances are known by their counts.
func (f *Feed) Peers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.peers.known)
}

// PresenceEvery is how often an instance of so many tells all that it is there.
func PresenceEvery(size int) time.Duration { return (&peers{fleet: size}).every() }

// Origin is the instance's own.
func (f *Feed) Origin() []byte { return f.origin[:] }

const (
	MaxPeers = maxPeers
	MaxLinks = maxLinks
	AloneTTL = aloneTTL
	Silence  = silence
	Lateness = lateness
	LongGone = longGone
)
