package rediscache

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/keyhatch/keyhatch/cache"
)

// names makes the names of entries and channels in the server.
type names struct{ namespace string }

// of returns two names: of a key's value, and of its lease or absent entry. They are
// separate so that a flood of unknown keys never touches the name of a value. The
// braces make a cluster keep both in one slot, as a script requires.
func (n names) of(key cache.Key) []string {
	tag := "{" + base64.RawURLEncoding.EncodeToString(key[:]) + "}"
	return []string{n.namespace + ":k:" + tag, n.namespace + ":n:" + tag}
}

func (n names) channel() string { return n.namespace + ":bus" }

// echo returns a new channel for one Receive. It cannot be guessed.
func (n names) echo() string { return n.channel() + ":" + strings.ToLower(rand.Text()) }

// unused returns a name that never exists. It has the prefix of values, so that the user needs no
// further permission.
func (n names) unused() string { return n.namespace + ":k:" }
