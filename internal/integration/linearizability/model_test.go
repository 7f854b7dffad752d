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

// An op is a call to the Manager.
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

// A call is a client's call. Keys are numbered within their family.
type call struct {
	op     op
	key    uint8
	next   uint8  // opRotate: the successor of key
	reason reason // opRevoke, opRevokeAll: unique for each call
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

// A reason is a RevokeReason as a number. It identifies the call that revoked the key.
type reason uint16

// byRotation is store.ReasonRotated.
const byRotation reason = 1

// A state is the state of one key. The state of a revoked key is revoked plus the reason.
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

// stateOf returns the state of a returned key.
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

// An answer is the result of a call: an error of the Manager, or the state of the returned
// key. Conflicts and refusals are results too.
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

// sentinel returns the Manager's error that err matches, or nil if it matches none that a
// healthy store can cause.
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

// maxKeys is the maximum number of keys in a family.
const maxKeys = 12

// A family is the specification: the states of one owner's first key and its successors.
// Rotate changes two keys at once and RevokeAll all of them, so histories are split into
// families, not into single keys.
type family [maxKeys]state

// apply returns the next state and the result of a call in a sequential Manager.
func (f family) apply(c call) (family, answer) {
	s := f[c.key]
	switch {
	case c.op == opValidate:
		return f, validateResult(s)
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

// validateResult returns the result of Validate for a key in state s.
func validateResult(s state) answer {
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

// transcript formats a history in the order of the calls.
func transcript(history []porcupine.Operation) (text string) {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, o := range history {
		text += fmt.Sprintf("\n%6d to %6d, client %2d: %v: %v", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return text
}
