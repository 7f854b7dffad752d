package cache

// What the external tests see beyond the API.

// A Message is what a test forges, or reads of what was sent.
type Message struct {
	Origin, Beat []byte
	Change       uint64
	All          bool
	Keys, Groups []Key
}

// Encode is what an instance would send.
func (m Message) Encode() string {
	out := message{change: m.Change, all: m.All, keys: m.Keys, groups: m.Groups}
	copy(out.origin[:], m.Origin)
	copy(out.beat[:], m.Beat)
	return out.encode()
}

func DecodeMessage(text string) (Message, error) {
	m, err := decode(text)
	return Message{m.origin[:], m.beat[:], m.change, m.all, m.keys, m.groups}, err
}

// Peers is how many other instances are known by their counts.
func (f *Feed) Peers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.peers.known)
}

// Origin is the instance's own.
func (f *Feed) Origin() []byte { return f.origin[:] }

const (
	MaxPeers = maxPeers
	MaxLinks = maxLinks
	AloneTTL = aloneTTL
	Silence  = silence
)
