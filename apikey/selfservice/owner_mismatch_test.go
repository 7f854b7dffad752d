package selfservice_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// M-19: another owner's key and a missing key get the same response, byte for byte,
// after the same number of store calls. Each attempt is an event.
func TestOtherOwnersKeyLooksMissing(t *testing.T) {
	t.Parallel()
	s := newAttackers(t)
	const missing = "key_00000000000000000000"
	for state, theirs := range s.insertKeysOfBob(t) {
		for _, r := range []struct {
			method, path, body string
			attempt            bool
		}{
			{"GET", "/api/keys/ID", "", true},
			{"HEAD", "/api/keys/ID", "", true},
			{"PATCH", "/api/keys/ID", `{"name": "x"}`, true},
			{"PATCH", "/api/keys/ID", `{"disabled": true}`, true},
			{"PATCH", "/api/keys/ID", `{"expires_at": null}`, true},
			{"PATCH", "/api/keys/ID", `{"name": "\u0000"}`, false},
			{"POST", "/api/keys/ID/rotate", `{"grace_seconds": 0}`, true},
			{"POST", "/api/keys/ID/rotate", `{"grace_seconds": 60}`, true},
			{"POST", "/api/keys/ID/revoke", `{"reason": "x"}`, true},
			{"POST", "/api/keys/ID/revoke", `{"reason": "\u0000"}`, false},
			{"DELETE", "/api/keys/ID", "", false},
			{"GET", "/api/keys?limit=1&cursor=CURSOR", "", false},
			{"GET", "/api/keys?filter=ended&cursor=CURSOR", "", false},
			{"GET", "/?current=CURSOR&ended=CURSOR", "", false},
			{"GET", "/?revoke=ID", "", true},
			{"POST", "/", "action=revoke&id=ID&reason=x", true},
			{"POST", "/", "action=revoke&id=ID&reason=%00", false},
		} {
			with := func(id string) *strings.Replacer {
				at := binary.BigEndian.AppendUint64(nil, uint64(theirs.CreatedAt.UnixMicro()))
				return strings.NewReplacer("ID", id, "CURSOR", base64.RawURLEncoding.EncodeToString(append(at, id...)))
			}
			for _, byKey := range []bool{false, true} {
				ann := s.newAttacker(t, byKey)
				want, events := s.sendAs(ann, r.method, with(missing).Replace(r.path), with(missing).Replace(r.body))
				if len(events) > 0 {
					t.Errorf("%s %s %s of a missing key: got events %+v, want none", r.method, r.path, r.body, events)
				}
				got, events := s.sendAs(ann, r.method, with(theirs.ID).Replace(r.path), with(theirs.ID).Replace(r.body))
				if got != want {
					t.Errorf("%s %s %s of a key that is %s, by API key %t:\ngot  %s\nwant %s", r.method, r.path, r.body, state, byKey, got, want)
				}
				forbidden := byKey && !strings.HasPrefix(r.path, "/api/") // the page refuses API keys
				if r.attempt && !forbidden && !isOwnerMismatch(events, ann.owner, theirs.ID) {
					t.Errorf("%s %s %s of a key that is %s, by API key %t: got events %+v, want an owner mismatch", r.method, r.path, r.body, state, byKey, events)
				}
			}
		}
		if now, err := s.store.Store.Get(t.Context(), "bob", theirs.ID); err != nil || fmt.Sprint(now) != fmt.Sprint(theirs) {
			t.Errorf("%s: got %+v, %v, want the key unchanged", state, now, err)
		}
	}
}

// M-19: a client gets the same response whether it registers another owner's digest or one of its
// own again. The attempt is an event.
func TestOtherOwnersDigestLooksTaken(t *testing.T) {
	t.Parallel()
	s := newAttackers(t)
	for state, theirs := range s.insertKeysOfBob(t) {
		for _, byKey := range []bool{false, true} {
			for _, retry := range [][]header{nil, {{"Idempotency-Key", "1"}}} {
				ann := s.newAttacker(t, byKey)
				register := func(d store.Digest) (string, []apikey.Event) {
					return s.sendAs(ann, "POST", "/api/keys", `{"name": "x", "hint": "key_abcd", "digest": "`+hex.EncodeToString(d[:])+`"}`, retry...)
				}
				own := apikey.DigestOf(ann.owner)
				s.insert(t, store.Record{ID: "own_" + ann.owner, Owner: ann.owner, Digest: own, CreatedAt: theirs.CreatedAt})
				want, events := register(own)
				if !strings.Contains(want, "duplicate_key") || len(events) > 0 {
					t.Errorf("one's own digest: got %s and events %+v, want duplicate_key and no events", want, events)
				}
				got, events := register(theirs.Digest)
				if got != want {
					t.Errorf("the digest of a key that is %s, by API key %t, %v:\ngot  %s\nwant %s", state, byKey, retry, got, want)
				}
				if !isOwnerMismatch(events, ann.owner, theirs.ID) {
					t.Errorf("the digest of a key that is %s: got events %+v, want an owner mismatch", state, events)
				}
			}
		}
	}
}

func isOwnerMismatch(events []apikey.Event, owner, id string) bool {
	return len(events) == 1 && events[0].Kind == apikey.EventOwnerMismatch && events[0].Owner == owner && events[0].KeyID == id
}

// attackers holds owners who request bob's keys. Each makes few requests, so that none
// is throttled.
type attackers struct {
	*panel
	store  *countingStore
	events []apikey.Event
	n      int
}

type attacker struct {
	owner  string
	header header
}

func newAttackers(t *testing.T) *attackers {
	s := &attackers{store: &countingStore{Store: memstore.New()}}
	s.panel = newPanel(t, s.store, &apikey.Options{OnEvent: func(_ context.Context, e apikey.Event) {
		if e.Kind != apikey.EventRefused {
			s.events = append(s.events, e)
		}
	}}, &selfservice.Options{KeyScope: "keys:write"})
	return s
}

func (s *attackers) newAttacker(t *testing.T, byKey bool) attacker {
	s.n++
	owner := fmt.Sprintf("ann_%d", s.n)
	if !byKey {
		return attacker{owner, header{"X-Session", owner}}
	}
	a := attacker{owner, header{"Authorization", "Bearer " + s.create(t, owner, "x", "keys:write").Secret.Reveal()}}
	s.sendAs(a, "GET", "/api/keys", "") // so that the key is cached
	return a
}

// sendAs sends a request. It returns the whole response with the number of store calls,
// and the events.
func (s *attackers) sendAs(a attacker, method, path, body string, more ...header) (response string, events []apikey.Event) {
	s.events = nil
	calls := s.store.calls.Load()
	if path == "/" {
		more = append(more, header{"Content-Type", "application/x-www-form-urlencoded"})
	}
	w := s.send("", method, path, body, append(more, a.header)...)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		response += fmt.Sprintf("%s: %q\n", name, w.Header()[name])
	}
	return fmt.Sprintf("%d after %d calls\n%s%s", w.Code, s.store.calls.Load()-calls, response, w.Body), s.events
}

func (s *attackers) insertKeysOfBob(t *testing.T) map[string]store.Record {
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	keys := map[string]store.Record{
		"active": {}, "disabled": {DisabledAt: at}, "revoked": {RevokedAt: at, RevokeReason: "bob's"}, "expired": {ExpiresAt: at},
		"replaced": {ExpiresAt: at.Add(2 * time.Hour), ReplacedBy: "key_next"},
	}
	for state, r := range keys {
		r.ID, r.Digest = "key_"+strings.Repeat("1", 20-len(state))+state, apikey.DigestOf(state)
		r.Owner, r.Name, r.Hint, r.CreatedAt = "bob", "bob's", "key_bobs", at.Add(-time.Hour)
		s.insert(t, r)
		keys[state] = r
	}
	return keys
}

func (s *attackers) insert(t *testing.T, r store.Record) {
	t.Helper()
	if err := s.store.Store.Insert(t.Context(), r, -1); err != nil {
		t.Fatal(err)
	}
}

// A countingStore counts its calls.
type countingStore struct {
	store.Store
	calls atomic.Int64
}

func (s *countingStore) Insert(ctx context.Context, r store.Record, limit int) error {
	s.calls.Add(1)
	return s.Store.Insert(ctx, r, limit)
}

func (s *countingStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	s.calls.Add(1)
	return s.Store.Lookup(ctx, d)
}

func (s *countingStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	s.calls.Add(1)
	return s.Store.Get(ctx, owner, id)
}

func (s *countingStore) List(ctx context.Context, q store.Query) (store.Page, error) {
	s.calls.Add(1)
	return s.Store.List(ctx, q)
}

func (s *countingStore) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	s.calls.Add(1)
	return s.Store.Update(ctx, owner, id, c)
}

func (s *countingStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	s.calls.Add(1)
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

func (s *countingStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, made store.Record, err error) {
	s.calls.Add(1)
	return s.Store.Rotate(ctx, owner, id, next, ends, limit)
}
