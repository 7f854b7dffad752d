package apikey

import (
	"sync"

	"github.com/keyhatch/keyhatch/store"
)

// digests remembers the digests of keys that this process has recently created, listed
// or read. A revocation needs the digest for its fence, so for these keys it needs no
// look-up. The digest of a key never changes.
type digests struct {
	mu   sync.Mutex
	keys recent[namedKey, store.Digest]
}

type namedKey struct{ owner, id string }

func (d *digests) add(r store.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys.set(namedKey{r.Owner, r.ID}, r.Digest)
}

// find returns the zero Digest if the key's digest is not known.
func (d *digests) find(owner, id string) store.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	digest, _ := d.keys.get(namedKey{owner, id})
	return digest
}
