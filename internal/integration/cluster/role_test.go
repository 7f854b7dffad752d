package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// roleVariable makes this binary an instance of a service, with the setup in JSON.
const roleVariable = "KEYHATCH_ROLE"

// A role is the instance that this process runs.
type role struct {
	setup
	keys    *apikey.Manager
	store   *watchedStore
	bus     busLog
	watches watches
	hooks   string // the URL for the billing system's events

	writing sync.Mutex // of standard output
}

// play is the main function of such a process. It returns when its input ends.
func play() int {
	var r role
	if err := json.Unmarshal([]byte(os.Getenv(roleVariable)), &r.setup); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := r.open(context.Background()); err != nil {
		r.write(reply{Error: err.Error()})
		return 0
	}
	r.write(reply{})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var q request
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() { r.write(r.answer(q)) }()
	}
	return 0
}

func (r *role) open(ctx context.Context) error {
	st, err := pgstore.Open(ctx, r.DSN, &pgstore.Options{Schema: testkit.GetParam(r.DSN, "search_path")})
	if err != nil {
		return err
	}
	r.store = &watchedStore{Store: st}
	o := &apikey.Options{
		MaxKeysPerOwner: -1, CacheTTL: r.CacheTTL, NegativeTTL: r.NegativeTTL,
		StaleIfError: r.StaleIfError, CallTimeout: r.CallTimeout, Logger: r.bus.logger(),
	}
	if r.Bus == notifyBus {
		if o.Bus, err = st.Bus(ctx, &pgstore.BusOptions{DSN: r.Listen}); err != nil {
			return err
		}
	}
	if r.Bus == redisBus || r.Shared {
		shared, err := rediscache.Open(ctx, "redis://"+r.Redis, secret, &rediscache.Options{Namespace: r.Namespace})
		if err != nil {
			return err
		}
		if r.Bus == redisBus {
			o.Bus = shared
		}
		if r.Shared {
			o.SharedCache = cache.Shared(shared)
		}
	}
	if !r.Plans {
		r.keys, err = apikey.New(r.store, o)
		return err
	}
	plans, err := r.sell(ctx)
	if err != nil {
		return err
	}
	o.Entitlements = plans
	if r.keys, err = apikey.New(r.store, o); err != nil {
		return err
	}
	return r.receive(plans)
}

var secret = []byte("a secret of the tests, 32 bytes!!")

func (r *role) answer(q request) reply {
	verb := verbs[q.Verb]
	if verb == nil {
		return reply{ID: q.ID, Error: "no such verb: " + q.Verb}
	}
	result, err := verb(r, q.Args)
	if err != nil {
		return reply{ID: q.ID, Error: err.Error()}
	}
	b, err := json.Marshal(result)
	if err != nil {
		return reply{ID: q.ID, Error: err.Error()}
	}
	return reply{ID: q.ID, Result: b}
}

func (r *role) write(a reply) {
	b, err := json.Marshal(a)
	if err != nil {
		b = fmt.Appendf(nil, `{"ID":%d,"Error":"a reply that is no JSON"}`, a.ID)
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	os.Stdout.Write(append(b, '\n'))
}

// Results of a Manager's calls. Other results are error messages.
const (
	accepted      = "accepted"
	revoked       = "revoked"
	disabled      = "disabled"
	unknown       = "unknown"
	unavailable   = "unavailable"
	notPropagated = "not propagated"
	conflict      = "conflict"
)

func answerOf(err error) string {
	for _, a := range []struct {
		err  error
		text string
	}{
		{apikey.ErrRevoked, revoked},
		{apikey.ErrDisabled, disabled},
		{apikey.ErrUnknown, unknown},
		{apikey.ErrNotPropagated, notPropagated}, // which also matches ErrUnavailable
		{apikey.ErrUnavailable, unavailable},
		{apikey.ErrConflict, conflict},
	} {
		if errors.Is(err, a.err) {
			return a.text
		}
	}
	if err != nil {
		return err.Error()
	}
	return accepted
}
