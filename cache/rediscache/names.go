package rediscache

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/keyhatch/keyhatch/cache"
)

// names are what things are called in the server.
type names struct{ namespace string }

// of are the names of a key's value, and of its lease or absent answer. These
// are apart, so that a flood of unknown keys never touches the name of a value.
// The braces make a cluster keep both in one place, where a script needs them.
func (n names) of(key cache.Key) []string {
	tag := "{" + base64.RawURLEncoding.EncodeToString(key[:]) + "}"
	return []string{n.namespace + ":k:" + tag, n.namespace + ":n:" + tag}
}

func (n names) channel() string { return n.namespace + ":bus" }

// echo is the channel of one Receive. It cannot be guessed.
func (n names) echo() string { return n.channel() + ":" + strings.ToLower(rand.Text()) }

// nothing is the name of what is never there, among those of values.
func (n names) nothing() string { return n.namespace + ":k:" }
