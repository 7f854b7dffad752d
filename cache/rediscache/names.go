package rediscache

import (
	"encoding/base64"

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

// nothing is the name of what is never there, among those of values.
func (n names) nothing() string { return n.namespace + ":k:" }
