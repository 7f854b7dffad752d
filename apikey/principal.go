package apikey

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/keyhatch/keyhatch/cache"
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
	text    string // see encodeText; its only string, since the garbage collector follows each pointer
	plan    ownerPlan
	version cache.Version // while it is current, plan is the owner's plan
}

// newPrincipal returns the Principal of a record.
func newPrincipal(r store.Record, plan ownerPlan) *Principal {
	return &Principal{text: encodeText(r), plan: plan}
}

// Items of the text of a Principal, in this order. Scopes and metadata are lists of items. A time
// has eight bytes, and is empty for never. Empty items at the end are left out.
const (
	textID = iota
	textOwner
	textScopes
	textName
	textHint
	textCreatedAt
	textLastUsedAt
	textCreatedBy
	textExpiresAt
	textDisabledAt
	textRevokedAt
	textRevokeReason
	textReplacedBy
	textMetadata
	texts
)

// encodeText encodes a record, except its digest, as a text. [Principal.Key] decodes it.
func encodeText(r store.Record) string {
	var b, scopes, metadata []byte
	for _, scope := range r.Scopes {
		scopes = appendItem(scopes, scope)
	}
	for name, value := range r.Metadata {
		metadata = appendItem(appendItem(metadata, name), value)
	}
	items := [texts]string{
		textID: r.ID, textOwner: r.Owner, textScopes: string(scopes), textName: r.Name, textHint: r.Hint,
		textCreatedBy: r.CreatedBy, textRevokeReason: r.RevokeReason, textReplacedBy: r.ReplacedBy, textMetadata: string(metadata),
		textCreatedAt: encodeTime(r.CreatedAt), textLastUsedAt: encodeTime(r.LastUsedAt), textExpiresAt: encodeTime(r.ExpiresAt),
		textDisabledAt: encodeTime(r.DisabledAt), textRevokedAt: encodeTime(r.RevokedAt),
	}
	n := texts
	for n > 0 && items[n-1] == "" {
		n--
	}
	for _, item := range items[:n] {
		b = appendItem(b, item)
	}
	return string(b)
}

func encodeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(binary.LittleEndian.AppendUint64(nil, uint64(t.UnixMicro())))
}

// appendItem appends an item of a list: its length and the text.
func appendItem(b []byte, item string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(item))), item...)
}

// cutItem returns the first item of a list and the rest of the list. It decodes the length
// itself, since binary.Uvarint needs a []byte. The list must not be empty.
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

// at returns an item of the text.
func (p *Principal) at(i int) (item string) {
	if p == nil {
		return ""
	}
	rest := p.text
	for range i + 1 {
		if rest == "" {
			return ""
		}
		item, rest = cutItem(rest)
	}
	return item
}

// Owner returns the owner of the key, as passed to Create. It does not allocate.
func (p *Principal) Owner() string { return p.at(textOwner) }

// KeyID returns the ID of the key. It does not allocate.
func (p *Principal) KeyID() string { return p.at(textID) }

// Key returns a copy of the key, as it was when it was last read from the store.
func (p *Principal) Key() Key {
	if p == nil || p.text == "" {
		return Key{}
	}
	return Key{
		ID: p.at(textID), Owner: p.at(textOwner), Name: p.at(textName), Hint: p.at(textHint), CreatedBy: p.at(textCreatedBy),
		RevokeReason: p.at(textRevokeReason), ReplacedBy: p.at(textReplacedBy), Scopes: p.scopes(), Metadata: p.metadata(),
		CreatedAt: p.time(textCreatedAt), ExpiresAt: p.time(textExpiresAt), DisabledAt: p.time(textDisabledAt),
		RevokedAt: p.time(textRevokedAt), LastUsedAt: earlier(p.time(textLastUsedAt), now()),
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

// time returns an item that is a time.
func (p *Principal) time(i int) time.Time {
	item := p.at(i)
	if item == "" {
		return time.Time{}
	}
	return instant(int64(binary.LittleEndian.Uint64([]byte(item))))
}

// instant returns the time of Unix microseconds, in UTC.
func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// Entitlement returns a copy of what the owner's plan allows.
func (p *Principal) Entitlement() entitlement.Entitlement {
	if p == nil || p.plan.entitlement == nil {
		return entitlement.Entitlement{}
	}
	return p.plan.clone()
}

// Allows reports whether the key has the scope and the owner's plan covers it; see
// [entitlement.Grants] for the meaning of "*". A key without scopes allows none. It
// does not allocate.
func (p *Principal) Allows(scope string) bool {
	return p != nil && p.plan.entitlement != nil && p.plan.entitlement.Covers(scope) && p.hasScope(scope)
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
