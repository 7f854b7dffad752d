package linearizability_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

const (
	clients   = 16
	families  = 4   // in use at once, so that about four clients use each
	familyOps = 120 // calls after which a family is replaced
)

// A manager has the methods of apikey.Manager that the histories use.
type manager interface {
	Create(ctx context.Context, p apikey.CreateParams) (apikey.Issued, error)
	Register(ctx context.Context, p apikey.RegisterParams) (apikey.Key, error)
	identify(ctx context.Context, token string) (apikey.Key, error)
	Get(ctx context.Context, owner, id string) (apikey.Key, error)
	Update(ctx context.Context, owner, id string, p apikey.UpdateParams) (apikey.Key, error)
	Revoke(ctx context.Context, owner, id, reason string) (apikey.Key, error)
	RevokeAll(ctx context.Context, owner, reason string) (int, error)
	Rotate(ctx context.Context, owner, id string, grace time.Duration) (apikey.Issued, error)
}

// A realManager is the Manager of the product.
type realManager struct{ *apikey.Manager }

// identify validates the token and returns its key.
func (m realManager) identify(ctx context.Context, token string) (apikey.Key, error) {
	p, err := m.Validate(ctx, token)
	return p.Key(), err
}

// pause yields for a short random time, so that goroutines overlap in many ways.
func pause() {
	switch n := rand.IntN(8); {
	case n < 4:
		runtime.Gosched()
	case n < 7:
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	}
}

// A slowStore pauses before and after each store call.
type slowStore struct{ store.Store }

func newSlowStore() slowStore { return slowStore{memstore.New()} }

func (s slowStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	pause()
	defer pause()
	return s.Store.Lookup(ctx, d)
}

func (s slowStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	pause()
	defer pause()
	return s.Store.Get(ctx, owner, id)
}

func (s slowStore) Insert(ctx context.Context, r store.Record, limit int) error {
	announce(ctx, r.ID)
	pause()
	defer pause()
	return s.Store.Insert(ctx, r, limit)
}

func (s slowStore) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	pause()
	defer pause()
	return s.Store.Update(ctx, owner, id, c)
}

func (s slowStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	pause()
	defer pause()
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

func (s slowStore) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	pause()
	defer pause()
	return s.Store.RevokeAll(ctx, owner, at, reason)
}

func (s slowStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (store.Record, store.Record, error) {
	announce(ctx, next.ID)
	pause()
	defer pause()
	return s.Store.Rotate(ctx, owner, id, next, ends, limit)
}

// idListener is the context key of a func(id string) that gets the ID of a record before the
// record is inserted, so that other clients can use it meanwhile.
type idListener struct{}

func announce(ctx context.Context, id string) {
	if listen, ok := ctx.Value(idListener{}).(func(id string)); ok {
		listen(id)
	}
}

func (r *recording) listening(ctx context.Context, listen func(id string)) context.Context {
	return context.WithValue(ctx, idListener{}, func(id string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		listen(id)
	})
}

// A recording records a history.
type recording struct {
	t       *testing.T
	manager manager
	tokens  *apikey.Manager // generates tokens that manager does not know
	clock   atomic.Int64    // orders calls and returns
	left    atomic.Int64    // calls still to be made

	mu     sync.Mutex // guards the following fields, and those of the subjects
	places [families]place
	all    []*subject
}

// A place holds the current family of some clients.
type place struct {
	subject  *subject // nil at first
	renewing bool     // a new subject is being created
}

// A subject is a family of keys that clients work on.
type subject struct {
	place   *place
	owner   string
	ids     [maxKeys]string // empty if not known
	tokens  [maxKeys]string
	hint    string // hint of the first token, if the token was known before its key existed
	given   uint8  // numbers assigned to keys, even if they were not created
	newest  uint8  // the last key known to exist
	calls   int
	reasons reason
	history []porcupine.Operation
}

// record calls m n times in several clients, and returns the history of each family.
func record(t *testing.T, m manager, n int) (histories [][]porcupine.Operation) {
	t.Helper()
	r := &recording{t: t, manager: m, tokens: newManager(t, memstore.New())}
	r.left.Store(int64(n))
	var all sync.WaitGroup
	for id := range clients {
		all.Go(func() {
			for r.left.Add(-1) >= 0 {
				r.step(id)
			}
		})
	}
	all.Wait()
	for _, s := range r.all {
		histories = append(histories, s.history)
	}
	return histories
}

func newManager(t *testing.T, st store.Store) *apikey.Manager {
	t.Helper()
	m, err := apikey.New(st, &apikey.Options{MaxKeysPerOwner: -1, CacheTTL: time.Hour, NegativeTTL: time.Hour, CallTimeout: time.Minute})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// step makes one call and records it.
func (r *recording) step(client int) {
	s, c, id, token := r.choose()
	o := porcupine.Operation{ClientId: client, Input: c, Call: r.clock.Add(1)}
	a, ok := r.make(s, c, id, token)
	o.Return, o.Output = r.clock.Add(1), a
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.history = append(s.history, o)
}

// choose returns a family and a possible call.
func (r *recording) choose() (s *subject, c call, id, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		p := &r.places[rand.IntN(families)]
		if s = p.subject; !p.renewing && (s == nil || s.calls >= familyOps) {
			s = r.begin(p)
			return s, call{op: opCreate}, "", s.tokens[0]
		}
		if s == nil {
			r.mu.Unlock()
			pause()
			r.mu.Lock()
			continue
		}
		if c, ok := s.choose(); ok {
			return s, c, s.ids[c.key], s.tokens[c.key]
		}
	}
}

// begin creates a new family. Other clients can use it as soon as a token or an ID is known,
// which is before its first key exists.
func (r *recording) begin(p *place) *subject {
	s := &subject{place: p, owner: fmt.Sprintf("owner_%d", len(r.all)), given: 1, reasons: byRotation, calls: 1}
	r.all = append(r.all, s)
	p.renewing = true
	if rand.IntN(2) == 0 {
		s.tokens[0], s.hint = r.unknownToken()
		s.serve()
	}
	return s
}

func (s *subject) serve() { s.place.subject, s.place.renewing = s, false }

// unknownToken returns a token that another Manager would issue.
func (r *recording) unknownToken() (token, hint string) {
	issued, err := r.tokens.Create(r.t.Context(), apikey.CreateParams{Owner: fmt.Sprint("o", rand.Uint64()), Name: "n"})
	if err != nil {
		r.t.Error(err)
	}
	return issued.Secret.Reveal(), issued.Key.Hint
}

// choose returns a call, mostly with the newest key. It returns false if the call needs a
// token or an ID that is not known yet.
func (s *subject) choose() (c call, ok bool) {
	c.key = s.newest
	if rand.IntN(4) == 0 {
		c.key = uint8(rand.IntN(int(s.given)))
	}
	switch n := rand.IntN(100); {
	case n < 12:
		c.op = opDisable
	case n < 27:
		c.op = opEnable
	case n < 36 && s.given < maxKeys:
		c.op, c.next = opRotate, s.given
	case n < 38 && s.calls > familyOps/3:
		c.op = opRevoke
	case n < 39 && s.calls > familyOps/2:
		c.op, c.key = opRevokeAll, 0
	case n < 47:
		c.op = opGet
	default:
		c.op = opValidate
	}
	if c.op == opValidate && s.tokens[c.key] == "" || c.op != opValidate && s.ids[c.key] == "" {
		return c, false
	}
	s.calls++
	switch c.op {
	case opRotate:
		s.given++
	case opRevoke, opRevokeAll:
		s.reasons++
		c.reason = s.reasons
	}
	return c, true
}

// make makes the call. It returns false for a result that no state of the keys explains.
func (r *recording) make(s *subject, c call, id, token string) (a answer, ok bool) {
	k, n, err := r.try(s, c, id, token)
	for errors.Is(err, apikey.ErrLimited) { // nothing was written
		pause()
		k, n, err = r.try(s, c, id, token)
	}
	if err == nil && c.op == opRevokeAll {
		return answer{n: n}, true
	}
	if err != nil {
		if a.err = sentinel(err); a.err == nil {
			r.t.Errorf("%v: %v", c, err)
		}
		return a, a.err != nil
	}
	a.state = stateOf(k)
	return a, true
}

func (r *recording) try(s *subject, c call, id, token string) (k apikey.Key, n int, err error) {
	ctx := r.t.Context()
	switch c.op {
	case opCreate:
		k, err = r.create(ctx, s, token)
	case opValidate:
		k, err = r.manager.identify(ctx, token)
	case opGet:
		k, err = r.manager.Get(ctx, s.owner, id)
	case opDisable, opEnable:
		disabled := c.op == opDisable
		k, err = r.manager.Update(ctx, s.owner, id, apikey.UpdateParams{Disabled: &disabled})
	case opRevoke:
		k, err = r.manager.Revoke(ctx, s.owner, id, strconv.Itoa(int(c.reason)))
	case opRevokeAll:
		n, err = r.manager.RevokeAll(ctx, s.owner, strconv.Itoa(int(c.reason)))
	case opRotate:
		k, err = r.rotate(ctx, s, id, c.next)
	}
	return k, n, err
}

// create calls Create, or else Register with a token that other clients may already have
// presented.
func (r *recording) create(ctx context.Context, s *subject, token string) (apikey.Key, error) {
	ctx = r.listening(ctx, func(id string) {
		s.ids[0] = id
		s.serve()
	})
	p := apikey.CreateParams{Owner: s.owner, Name: "n"}
	if token != "" {
		return r.manager.Register(ctx, apikey.RegisterParams{CreateParams: p, Digest: apikey.DigestOf(token), Hint: s.hint})
	}
	issued, err := r.manager.Create(ctx, p)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.tokens[0] = issued.Secret.Reveal()
	}
	return issued.Key, err
}

func (r *recording) rotate(ctx context.Context, s *subject, id string, next uint8) (apikey.Key, error) {
	ctx = r.listening(ctx, func(id string) { s.ids[next] = id })
	issued, err := r.manager.Rotate(ctx, s.owner, id, 0)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.tokens[next], s.newest = issued.Secret.Reveal(), next
	}
	return issued.Key, err
}
