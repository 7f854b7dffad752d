package apikey

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
)

// A Principal is the identity of a validated request: the key, and what its owner's
// plan allows.
//
// A Principal never changes. Requests with the same key share one, and its methods
// may be called from many goroutines. They return copies. The zero Principal has no
// owner and allows nothing, and so does a nil *Principal.
type Principal struct {
	// text holds the strings of the record one after the other. ends holds the offset
	// at which each of them ends. Only text and plan have pointers, since the
	// garbage collector follows the pointers of every cached key.
	text string
	ends [texts]uint32

	created, expires, disabled, revoked, lastUsed int64 // Unix microseconds; the zero time means never

	plan *entitlement.Entitlement // nil only in the zero Principal; shared, never changed
}

// The strings of a Principal. Scopes and metadata are lists, see appendItem.
const (
	textID = iota
	textOwner
	textName
	textHint
	textCreatedBy
	textRevokeReason
	textReplacedBy
	textScopes
	textMetadata
	texts
)

func newPrincipal(r store.Record, plan *entitlement.Entitlement) Principal {
	p := Principal{
		created: r.CreatedAt.UnixMicro(), expires: r.ExpiresAt.UnixMicro(), disabled: r.DisabledAt.UnixMicro(),
		revoked: r.RevokedAt.UnixMicro(), lastUsed: r.LastUsedAt.UnixMicro(), plan: plan,
	}
	var b []byte
	for i, text := range [...]string{r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, r.RevokeReason, r.ReplacedBy} {
		b = append(b, text...)
		p.ends[i] = uint32(len(b))
	}
	for _, scope := range r.Scopes {
		b = appendItem(b, scope)
	}
	p.ends[textScopes] = uint32(len(b))
	for name, value := range r.Metadata {
		b = appendItem(appendItem(b, name), value)
	}
	p.ends[textMetadata] = uint32(len(b))
	p.text = string(b)
	return p
}

// appendItem appends an item of a list: its length and the text.
func appendItem(b []byte, item string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(item))), item...)
}

// cutItem returns the first item of a list and the rest of the list.
func cutItem(list string) (item, rest string) {
	length := uint64(0)
	for shift := 0; ; shift += 7 {
		b := list[0]
		list = list[1:]
		length |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return list[:length], list[length:]
		}
	}
}

func (p *Principal) at(i int) string {
	if p == nil {
		return ""
	}
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.text[start:p.ends[i]]
}

// Owner returns the owner of the key, as passed to Create. It does not allocate.
func (p *Principal) Owner() string { return p.at(textOwner) }

// KeyID returns the ID of the key. It does not allocate.
func (p *Principal) KeyID() string { return p.at(textID) }

// Key returns a copy of the key, as it was when it was last read from the store.
func (p *Principal) Key() Key {
	if p == nil || p.plan == nil {
		return Key{}
	}
	return Key{
		ID: p.at(textID), Owner: p.at(textOwner), Name: p.at(textName), Hint: p.at(textHint), CreatedBy: p.at(textCreatedBy),
		RevokeReason: p.at(textRevokeReason), ReplacedBy: p.at(textReplacedBy), Scopes: p.scopes(), Metadata: p.metadata(),
		CreatedAt: instant(p.created), ExpiresAt: instant(p.expires), DisabledAt: instant(p.disabled),
		RevokedAt: instant(p.revoked), LastUsedAt: earlier(instant(p.lastUsed), now()),
	}
}

func (p *Principal) scopes() (scopes []string) {
	for list := p.at(textScopes); list != ""; {
		var scope string
		scope, list = cutItem(list)
		scopes = append(scopes, scope)
	}
	return scopes
}

func (p *Principal) metadata() map[string]string {
	list := p.at(textMetadata)
	if list == "" {
		return nil
	}
	metadata := map[string]string{}
	for list != "" {
		var name, value string
		name, list = cutItem(list)
		value, list = cutItem(list)
		metadata[name] = value
	}
	return metadata
}

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// Entitlement returns a copy of what the owner's plan allows.
func (p *Principal) Entitlement() entitlement.Entitlement {
	if p == nil || p.plan == nil {
		return entitlement.Entitlement{}
	}
	return p.plan.Clone()
}

// Allows reports whether the key has the scope and the owner's plan covers it; see
// [entitlement.Grants] for the meaning of "*". A key without scopes allows none. It
// does not allocate.
func (p *Principal) Allows(scope string) bool {
	return p != nil && p.plan != nil && p.plan.Covers(scope) && p.hasScope(scope)
}

// hasScope reports whether one of the key's own scopes grants the scope.
func (p *Principal) hasScope(scope string) bool {
	for list := p.at(textScopes); list != ""; {
		var granted string
		if granted, list = cutItem(list); entitlement.Grants([]string{granted}, scope) {
			return true
		}
	}
	return false
}

func (p *Principal) allowsAll(scopes []string) bool {
	for _, s := range scopes {
		if !p.Allows(s) {
			return false
		}
	}
	return true
}

// withPlan returns a copy of p with another plan.
func (p *Principal) withPlan(plan *entitlement.Entitlement) *Principal {
	other := *p
	other.plan = plan
	return &other
}

type principalKey struct{}

// PrincipalFromContext returns the Principal that [Manager.Require] put into the
// request's context. It returns false if the request did not pass through Require.
func PrincipalFromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok
}

// MustPrincipal is like [PrincipalFromContext] but panics if there is no Principal.
// Use it in handlers that must never run without Require.
func MustPrincipal(ctx context.Context) *Principal {
	p, ok := PrincipalFromContext(ctx)
	if !ok {
		panic("apikey: no Principal in the context: Require does not wrap the handler")
	}
	return p
}
