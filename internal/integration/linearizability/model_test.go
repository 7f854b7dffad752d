package linearizability_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
)

// An op is a call of the Manager.
type op uint8

const (
	opCreate op = iota
	opValidate
	opGet
	opDisable
	opEnable
	opRevoke
	opRevokeAll
	opRotate
)

func (o op) String() string {
	return [...]string{"create", "validate", "get", "disable", "enable", "revoke", "revokeAll", "rotate"}[o]
}

// A call is what a client asked for. Keys are numbered within their family.
type call struct {
	op     op
	key    uint8
	next   uint8  // opRotate: the key that takes the place of key
	reason reason // opRevoke, opRevokeAll: tells this call from all others
}

func (c call) String() string {
	switch c.op {
	case opRotate:
		return fmt.Sprintf("rotate %d to %d", c.key, c.next)
	case opRevokeAll:
		return fmt.Sprintf("revokeAll #%d", c.reason)
	case opRevoke:
		return fmt.Sprintf("revoke %d #%d", c.key, c.reason)
	}
	return fmt.Sprintf("%v %d", c.op, c.key)
}

// A reason is a RevokeReason as a number; it names the call that revoked.
type reason uint16

// byRotation is store.ReasonRotated.
const byRotation reason = 1

// A state is that of one key. Revoked keys have their reason above revoked.
type state uint16

const (
	absent state = iota
	active
	disabled
	revoked
)

func (s state) String() string {
	if s >= revoked {
		return fmt.Sprintf("revoked #%d", s-revoked)
	}
	return [...]string{"absent", "active", "disabled"}[s]
}

// stateOf is a returned key's state.
func stateOf(k apikey.Key) state {
	switch k.Status(time.Now()) {
	case apikey.StatusActive:
		return active
	case apikey.StatusDisabled:
		return disabled
	case apikey.StatusRevoked:
		return revoked + state(parseReason(k.RevokeReason))
	}
	panic("no key of these histories expires")
}

func parseReason(text string) (r reason) {
	if text == store.ReasonRotated {
		return byRotation
	}
	if _, err := fmt.Sscan(text, &r); err != nil {
		panic("unknown reason " + text)
	}
	return r
}

// An answer is what a client saw: one of the Manager's errors, or the state of
// the key that it was given. A conflict and a refusal are observations too.
type answer struct {
	err   error
	state state
	n     int // opRevokeAll
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return a.err.Error()
	case a.state == absent:
		return fmt.Sprint(a.n)
	}
	return a.state.String()
}

// sentinel reduces err to the one of the Manager's errors that it matches, or
// nil when there is none that a healthy store may lead to.
func sentinel(err error) error {
	for _, s := range []error{
		apikey.ErrUnknown, apikey.ErrDisabled, apikey.ErrRevoked,
		apikey.ErrNotFound, apikey.ErrConflict, apikey.ErrDuplicate,
	} {
		if errors.Is(err, s) {
			return s
		}
	}
	return nil
}

// maxKeys is how many keys a family may come to by rotation.
const maxKeys = 12

// A family is the specification: the states of a first key and of those that
// rotation put in its place, one owner's. Rotation touches two keys at once and
// RevokeAll touches all, so it is families that histories fall apart into, not
// single keys.
type family [maxKeys]state

// apply is what a Manager that did one thing at a time would do.
func (f family) apply(c call) (family, answer) {
	s := f[c.key]
	switch {
	case c.op == opValidate:
		return f, verdict(s)
	case c.op == opRevokeAll:
		n := 0
		for i, s := range f {
			if s == active || s == disabled {
				f[i] = revoked + state(c.reason)
				n++
			}
		}
		return f, answer{n: n}
	case c.op == opCreate:
		if s != absent {
			return f, answer{err: apikey.ErrDuplicate}
		}
		f[c.key] = active
	case s == absent:
		return f, answer{err: apikey.ErrNotFound}
	case c.op == opGet:
	case c.op == opRevoke:
		if s < revoked {
			f[c.key] = revoked + state(c.reason)
		}
	case s >= revoked:
		return f, answer{err: apikey.ErrConflict}
	case c.op == opDisable:
		f[c.key] = disabled
	case c.op == opEnable:
		f[c.key] = active
	case c.op == opRotate:
		if s == disabled {
			return f, answer{err: apikey.ErrConflict}
		}
		f[c.key], f[c.next] = revoked+state(byRotation), active
		return f, answer{state: active}
	}
	return f, answer{state: f[c.key]}
}

// verdict is what Validate says of a key.
func verdict(s state) answer {
	switch s {
	case absent:
		return answer{err: apikey.ErrUnknown}
	case active:
		return answer{state: active}
	case disabled:
		return answer{err: apikey.ErrDisabled}
	}
	return answer{err: apikey.ErrRevoked}
}

var model = porcupine.Model{
	Init: func() any { return family{} },
	Step: func(state, input, output any) (bool, any) {
		next, want := state.(family).apply(input.(call))
		return want == output.(answer), next
	},
}

// transcript lists a history for people, in the order of the calls.
func transcript(history []porcupine.Operation) (text string) {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, o := range history {
		text += fmt.Sprintf("\n%6d to %6d, client %2d: %v: %v", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return text
}
