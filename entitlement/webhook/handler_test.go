package webhook_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

func TestOnlyPost(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""} {
		r := stripe.request("", nil)
		r.Method = method
		w := serve(stripe.handler(t, newStore(), nil), r)
		if w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("%q: got %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

// E-13: the response is sent after the write and after Changed. An event that comes again
// is stored and reported again, so an interrupted attempt is completed.
func TestOrderOfCalls(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		o := &webhook.Options{Changed: func(ctx context.Context, who string) error {
			if who != owner {
				t.Errorf("%s: owner of Changed: got %q, want %q", s.name, who, owner)
			}
			return st.call(ctx, "Changed")
		}}
		h := s.handler(t, st, o)
		for range 2 {
			st.calls = nil
			s.checkDelivery(t, h, "purchase", 200)
			if want := []string{"Apply", "Changed"}; !slices.Equal(st.calls, want) {
				t.Errorf("%s: got %v, want %v", s.name, st.calls, want)
			}
		}
		for _, event := range append(s.payment(), "refund") {
			st.calls = nil
			s.checkDelivery(t, h, event, 200)
			if want := []string{"Apply", "Changed"}; !slices.Equal(st.calls, want) {
				t.Errorf("%s %s: got %v, want %v", s.name, event, st.calls, want)
			}
		}
	}
}

// A refund that arrives before its payment and subscription has no owner yet, so Changed is
// called when the last of them has arrived.
func TestChangedAfterTheLastPart(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st, told := newStore(), 0
		h := s.handler(t, st, &webhook.Options{Changed: func(context.Context, string) error { told++; return nil }})
		for _, event := range append([]string{"refund"}, s.payment()...) {
			s.checkDelivery(t, h, event, 200)
		}
		if told > 0 {
			t.Errorf("%s: Changed was called %d times, though no owner is known", s.name, told)
		}
		s.checkDelivery(t, h, "renewal", 200)
		if got := st.planAt(t, owner, "2026-04-20T00:00:00Z"); told != 1 || got != "" {
			t.Errorf("%s: got the plan %q and %d calls of Changed, want no plan and one call", s.name, got, told)
		}
	}
}

// A partStore stores the first part of a report and refuses another one.
type partStore struct{ *memStore }

func (p partStore) Apply(ctx context.Context, r entitlement.Report) (entitlement.Applied, error) {
	applied, err := p.memStore.Apply(ctx, r)
	return applied, cmp.Or(err, refuse("payment", "is another one"))
}

// E-05: what was stored of a rejected event takes effect at once.
func TestChangedOfARejectedEvent(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		var told []string
		h := s.handler(t, partStore{newStore()}, &webhook.Options{Changed: func(_ context.Context, who string) error {
			told = append(told, who)
			return nil
		}})
		s.checkDelivery(t, h, "purchase", 422)
		if !slices.Equal(told, []string{owner}) {
			t.Errorf("%s: got Changed called for %q, want %q", s.name, told, owner)
		}
	}
}

func TestReplays(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		synctest.Test(t, func(t *testing.T) {
			st := newStore()
			h := s.handler(t, st, nil)
			body := loadPayload(t, s, "purchase")
			first := s.request("e", body)
			if got := serve(h, first).Code; got != 200 {
				t.Fatalf("%s: got %d, want 200", s.name, got)
			}
			before := st.onlyRow(t)
			again := s.request("e", body)
			if got := serve(h, again).Code; got != 200 || st.onlyRow(t) != before {
				t.Errorf("%s: the same event again: got %d and %v, want 200 and no change", s.name, got, st.rows)
			}
			time.Sleep(5*time.Minute + time.Second)
			st.calls = nil
			again = httptest.NewRequest("POST", "/", bytes.NewReader(body))
			again.Header = first.Header
			if got := serve(h, again).Code; got != 401 || st.calls != nil {
				t.Errorf("%s: the same signature later: got %d and %v, want 401", s.name, got, st.calls)
			}
		})
	}
}

// E-13: after any failure, the response asks for a retry, and the retry completes the
// work.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Apply", "Owner", "Ignore", "Refetch"} {
		for how, fail := range map[string]func(context.Context) error{
			"fails":  func(context.Context) error { return errors.New("down") },
			"panics": func(context.Context) error { panic("down") },
			"hangs":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		} {
			for _, event := range []string{"purchase", "payment", "refund"} {
				if event == "purchase" || method == "Apply" || method == "Ignore" {
					synctest.Test(t, func(t *testing.T) { testFailure(t, method, how, event, fail) })
				}
			}
		}
	}
}

func testFailure(t *testing.T, method, how, event string, fail func(context.Context) error) {
	st, broken := newStore(), true
	st.before = func(ctx context.Context, called string) error {
		if broken && called == method {
			return fail(ctx)
		}
		return nil
	}
	o := withOwner()
	o.Owner = func(ctx context.Context, _ webhook.Event) (string, error) { return owner, st.call(ctx, "Owner") }
	o.Ignore = func(ctx context.Context, _ webhook.Event) (bool, error) { return false, st.call(ctx, "Ignore") }
	o.Changed = func(ctx context.Context, _ string) error { return st.call(ctx, "Changed") }
	if method == "Refetch" {
		o.Refetch = func(ctx context.Context, e webhook.Event) (entitlement.Subscription, error) {
			return entitlement.Subscription{Plan: "pro", Status: active}, st.call(ctx, "Refetch")
		}
	}
	h := stripe.handler(t, st, o)
	began := time.Now()
	w := serve(h, stripe.request("", loadPayload(t, stripe, event)))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Body.Len() > 0 {
		t.Errorf("%s, %s %s: got %d, Retry-After %q", event, method, how, w.Code, w.Header().Get("Retry-After"))
	}
	if took := time.Since(began); took >= 10*time.Second {
		t.Errorf("%s, %s %s: took %v, longer than the source waits", event, method, how, took)
	}
	if len(st.rows)+len(st.rejected) > 0 {
		t.Errorf("%s, %s %s: got the rows %v and the rejected events %v, want none", event, method, how, st.rows, st.rejected)
	}
	broken, st.calls = false, nil
	stripe.checkDelivery(t, h, event, 200)
	if slices.Contains(st.calls, "Changed") != (event == "purchase") || len(st.rows) != 1 {
		t.Errorf("%s, %s %s: the retry made the calls %v", event, method, how, st.calls)
	}
}

// E-13: if the process is killed after it has stored the state or called Changed, the retry
// calls Changed.
func TestKilledWhileProcessing(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"Apply", "Changed"} {
		st := &killedStore{memStore: newStore(), last: last}
		o := withOwner()
		o.Changed = func(ctx context.Context, _ string) error { return st.done("Changed", st.call(ctx, "Changed")) }
		h := stripe.handler(t, st, o)
		killed := make(chan bool, 1)
		go func() {
			defer func() { killed <- st.last == "" }()
			stripe.deliver(h, "", loadPayload(t, stripe, "purchase"))
			t.Errorf("the attempt has ended after the calls %v, want it killed after %s", st.calls, last)
		}()
		if !<-killed || len(st.rows) != 1 {
			t.Fatalf("killed after %s: got the calls %v and %d rows, want one", last, st.calls, len(st.rows))
		}
		st.calls = nil
		stripe.checkDelivery(t, h, "purchase", 200)
		if !slices.Contains(st.calls, "Changed") {
			t.Errorf("killed after %s: the retry made the calls %v, want one of Changed", last, st.calls)
		}
	}
}

// A killedStore ends the goroutine once, after the call that the field last names has taken
// effect.
type killedStore struct {
	*memStore
	last string
}

func (k *killedStore) done(method string, err error) error {
	if method == k.last {
		k.last = ""
		runtime.Goexit()
	}
	return err
}

func (k *killedStore) Apply(ctx context.Context, r entitlement.Report) (entitlement.Applied, error) {
	applied, err := k.memStore.Apply(ctx, r)
	return applied, k.done("Apply", err)
}

// E-05: a stored event gets 200, even if Changed fails. The failure is logged.
func TestChangedFails(t *testing.T) {
	t.Parallel()
	for how, fail := range map[string]func(context.Context) error{
		"fails":  func(context.Context) error { return errors.New("down") },
		"panics": func(context.Context) error { panic("down") },
		"hangs":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"returns an InvalidError": func(context.Context) error {
			return &entitlement.InvalidError{Field: "Owner", Err: errors.New("down")}
		},
	} {
		for _, event := range []string{"purchase", "refund"} {
			synctest.Test(t, func(t *testing.T) { testChangedFails(t, event, how, fail) })
		}
	}
}

func testChangedFails(t *testing.T, event, how string, fail func(context.Context) error) {
	st := newStore()
	for _, name := range append(stripe.payment(), "renewal") { // a refund has an owner then
		stripe.checkDelivery(t, stripe.handler(t, st, nil), name, 200)
	}
	o := withOwner()
	log, text := newLogger()
	o.Logger, o.Changed = log, func(ctx context.Context, _ string) error { return fail(ctx) }
	h := stripe.handler(t, st, o)
	for range 2 {
		text.Reset()
		began := time.Now()
		stripe.checkDelivery(t, h, event, 200)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s, Changed %s: took %v, want at most 4 seconds", event, how, took)
		}
		if len(st.rejected) > 0 {
			t.Errorf("%s, Changed %s: got the rejected events %v, want none", event, how, st.rejected)
		}
		if !strings.Contains(text.String(), "level=ERROR") || !strings.Contains(text.String(), "Changed failed") {
			t.Errorf("%s, Changed %s: got the log %q, want the failure", event, how, text)
		}
	}
	if got := st.planAt(t, owner, "2026-04-20T00:00:00Z"); (got == "") != (event == "refund") {
		t.Errorf("%s, Changed %s: got the plan %q", event, how, got)
	}
}

// An event is processed even if the source disconnects.
func TestSourceHangsUp(t *testing.T) {
	t.Parallel()
	st := newStore()
	ctx, cancel := context.WithCancel(t.Context())
	st.before = func(ctx context.Context, method string) error {
		cancel()
		return ctx.Err()
	}
	r := stripe.request("", loadPayload(t, stripe, "purchase")).WithContext(ctx)
	if got := serve(stripe.handler(t, st, nil), r).Code; got != 200 || len(st.rows) != 1 {
		t.Errorf("got %d and %v", got, st.rows)
	}
}

func newLogger() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}

// E-14: an event with an unmapped product is rejected and saved. It is not treated as a
// product without a plan.
func TestUnknownProduct(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		log, text := newLogger()
		h, err := webhook.New(st, s.source(secret), catalog, map[string]string{"another": "pro"}, &webhook.Options{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.checkDelivery(t, h, "purchase", 422)
		}
		if len(st.rows) > 0 || len(st.rejected) != 1 {
			t.Errorf("%s: got the rows %v and %d rejected events, want one rejected", s.name, st.rows, len(st.rejected))
		}
		for id, saved := range st.rejected {
			if !bytes.Equal(saved.body, loadPayload(t, s, "purchase")) || !strings.Contains(saved.reason, "no plan") {
				t.Errorf("%s: saved %s with the reason %q", s.name, id, saved.reason)
			}
		}
		if got := text.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "no plan") {
			t.Errorf("%s: got the log %q, want an error that no plan is configured", s.name, got)
		}
		s.checkDelivery(t, s.handler(t, st, nil), "purchase", 200)
		if got := st.onlyRow(t); got.Plan != "pro" || len(st.rejected) > 0 {
			t.Errorf("%s: after the product was mapped: got %+v and %d rejected events, want plan pro and none", s.name, got, len(st.rejected))
		}
		s.checkDelivery(t, h, "cancel", 200) // an ended subscription needs no plan
		if got := st.onlyRow(t); got.Status != ended {
			t.Errorf("%s: got %+v, want it ended", s.name, got)
		}
	}
}

// E-14: the store has another catalog, which lacks the plan.
func TestStoreWithoutPlan(t *testing.T) {
	t.Parallel()
	st := newStore()
	st.before = func(_ context.Context, method string) error {
		if method == "Apply" {
			return fmt.Errorf("apply: %w", &entitlement.InvalidError{Field: "Plan", Err: entitlement.ErrUnknownPlan})
		}
		return nil
	}
	stripe.checkDelivery(t, stripe.handler(t, st, withOwner()), "purchase", 422)
	if len(st.rows) > 0 || len(st.rejected) != 1 {
		t.Errorf("got the rows %v and %d rejected events, want one rejected", st.rows, len(st.rejected))
	}
}

// If a rejected event cannot be saved, the response is 503, so that it is sent again.
func TestRejectedEventCannotBeSaved(t *testing.T) {
	t.Parallel()
	for how, fail := range map[string]func() error{"fails": func() error { return errors.New("down") }, "panics": func() error { panic("down") }} {
		st := newStore()
		st.before = func(_ context.Context, method string) error {
			if method == "SaveRejected" {
				return fail()
			}
			return nil
		}
		if got := stripe.deliver(stripe.handler(t, st, nil), "", []byte(`{}`)); got != 503 {
			t.Errorf("SaveRejected %s: got %d, want 503", how, got)
		}
	}
}

func TestUnknownTypes(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		st := newStore()
		log, text := newLogger()
		s.checkDelivery(t, s.handler(t, st, &webhook.Options{Logger: log}), "unknown_type", 200)
		if len(st.calls) > 0 || !strings.Contains(text.String(), "level=DEBUG") || strings.Contains(text.String(), "level=ERROR") {
			t.Errorf("%s: %v, %s", s.name, st.calls, text)
		}
	}
}

// E-03: a refund that ends nothing, since its payment is not stored, is logged as a warning.
func TestRefundWithoutPayment(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		for n := range len(s.payment()) + 2 {
			all := append([]string{"purchase"}, s.payment()...)
			var without string
			if n < len(all) {
				without = all[n]
			}
			st := newStore()
			log, text := newLogger()
			h := s.handler(t, st, &webhook.Options{Logger: log})
			for _, name := range all {
				if name != without {
					s.checkDelivery(t, h, name, 200)
				}
			}
			if strings.Contains(text.String(), "level=WARN") {
				t.Errorf("%s, without %q: got the log %q, want no warning of a payment", s.name, without, text)
			}
			text.Reset()
			s.checkDelivery(t, h, "refund", 200)
			if got := text.String(); strings.Contains(got, "level=WARN") != (without != "") || strings.Contains(got, "invoice_payment.paid") != (without != "") {
				t.Errorf("%s, without %q: got the log %q", s.name, without, got)
			}
		}
	}
}

// A dispute that was won ends nothing anyway, so its payment is not missed.
func TestWonDisputeWithoutPayment(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]bool{"dispute": true, "dispute_lost": true, "dispute_won": false} {
		log, text := newLogger()
		stripe.checkDelivery(t, stripe.handler(t, newStore(), &webhook.Options{Logger: log}), event, 200)
		if got := text.String(); strings.Contains(got, "level=WARN") != want {
			t.Errorf("%s: got the log %q, want a warning: %t", event, got, want)
		}
	}
}

// E-04: the first unauthentic request in a minute is a warning, since the secret may be wrong.
func TestWarningOfUnauthenticRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, text := newLogger()
		h := stripe.handler(t, newStore(), &webhook.Options{Logger: log})
		post := func(secret, body string) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			stripe.sign(r.Header, secret, "e", time.Now(), []byte(body))
			serve(h, r)
		}
		for range 3 {
			text.Reset()
			post(secret, `{}`) // authentic, and rejected
			post(secret, strings.Repeat(" ", 1<<20))
			if got := text.String(); strings.Contains(got, "level=WARN") {
				t.Errorf("got the log %q, want no warning", got)
			}
			for n := range 5 {
				text.Reset()
				post(other, `{}`)
				time.Sleep(11 * time.Second)
				want := map[bool]string{true: "level=WARN", false: "level=INFO"}[n == 0]
				if got := text.String(); !strings.Contains(got, want) || !strings.Contains(got, "another secret") {
					t.Errorf("request %d: got the log %q, want %s and the reason", n, got, want)
				}
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// The log contains the reason, but no secret, signature or body.
func TestLogOfRefusedRequest(t *testing.T) {
	t.Parallel()
	log, text := newLogger()
	r := polar.request("e", loadPayload(t, polar, "purchase"))
	polar.sign(r.Header, other, "e", time.Now(), loadPayload(t, polar, "purchase"))
	serve(polar.handler(t, newStore(), &webhook.Options{Logger: log}), r)
	got := text.String()
	if !strings.Contains(got, "no signature matches a configured secret") {
		t.Errorf("got the log %q, want the reason", got)
	}
	for _, private := range []string{"whsec_", "v1,", "ann@example.com"} {
		if strings.Contains(got, private) {
			t.Errorf("the log contains %q: %q", private, got)
		}
	}
}

func TestOversizedBodies(t *testing.T) {
	t.Parallel()
	const most = 256 << 10
	full := append(loadPayload(t, stripe, "purchase"), bytes.Repeat([]byte{' '}, most)...)
	for name, c := range map[string]struct {
		body    io.Reader
		want    int
		unknown bool // its length
	}{
		"the maximum":              {bytes.NewReader(full[:most]), 200, false},
		"one byte more":            {bytes.NewReader(full[:most+1]), 413, false},
		"one byte more, no length": {bytes.NewReader(full[:most+1]), 413, true},
		"a longer length":          {unreadBody{t}, 413, false},
		"none":                     {nil, 401, true},
	} {
		r := stripe.request("", full[:most])
		r.Body, r.ContentLength = nil, int64(most+1)
		if c.body != nil {
			r.Body = io.NopCloser(c.body)
		}
		if c.unknown || c.want == 200 {
			r.ContentLength = -1
		}
		if got := serve(stripe.handler(t, newStore(), nil), r).Code; got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// A deadlineWriter records the read deadline that the handler sets.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error { w.deadline = t; return nil }

// A slowBody sends a byte a second and never ends.
type slowBody struct{ w *deadlineWriter }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	if !b.w.deadline.IsZero() && !time.Now().Before(b.w.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, " "), nil
}

func TestSlowAndAbortedBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		r := stripe.request("", loadPayload(t, stripe, "purchase"))
		r.Body, r.ContentLength = io.NopCloser(slowBody{w}), -1
		began := time.Now()
		stripe.handler(t, newStore(), nil).ServeHTTP(w, r)
		// The server reads the rest of a refused request.
		if took := time.Since(began); w.Code != 400 || took > 11*time.Second || w.deadline.IsZero() {
			t.Errorf("slow: got %d after %v, deadline %v, want 400 and a deadline", w.Code, took, w.deadline)
		}
		w = &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		stripe.handler(t, newStore(), withOwner()).ServeHTTP(w, stripe.request("", loadPayload(t, stripe, "purchase")))
		if w.Code != 200 || !w.deadline.IsZero() {
			t.Errorf("whole: got %d, deadline %v, want 200 and none", w.Code, w.deadline)
		}
	})
	body := loadPayload(t, stripe, "purchase")
	r := stripe.request("", body)
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:100]), failingReader{}))
	checkRefused(t, stripe, r, "aborted", 400)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Many concurrent requests over real connections, with one event sent twice.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	st := newStore()
	server := httptest.NewServer(polar.handler(t, st, nil))
	defer server.Close()
	var all sync.WaitGroup
	for _, name := range []string{"purchase", "renewal", "plan_change", "past_due", "cancel", "purchase", "renewal", "cancel"} {
		all.Go(func() {
			r := polar.request(name, loadPayload(t, polar, name))
			sent, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			sent.Header = r.Header
			resp, err := server.Client().Do(sent)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("%s: got %d, want 200", name, resp.StatusCode)
			}
		})
	}
	all.Wait()
	if got := st.onlyRow(t); got.Status != ended {
		t.Errorf("got %+v, want the last state: ended", got)
	}
}

// E-02: a subscription has one owner. An event without a valid owner, or with several, is
// rejected and kept.
func TestOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system        system
		name          string
		old, new, own string // own "": rejected
	}{
		{stripe, "purchase", `"owner": "org_42"`, `"owner": "org_7"`, "org_7"},
		{stripe, "purchase", `"owner": "org_42"`, `"Owner": "org_7"`, ""},
		{stripe, "purchase", `"owner": "org_42"`, `"owner": ""`, ""},
		{stripe, "purchase", `"owner": "org_42"`, `"owner": "a\u0000"`, ""},
		{stripe, "purchase", `"owner": "org_42"`, `"owner": "` + strings.Repeat("a", 256) + `"`, ""},
		{stripe, "purchase", `"owner": "org_42"`, `"owner": "a\u202eb"`, ""},
		{stripe, "purchase", `"sub_1QkhExample0001"`, `"` + strings.Repeat("a", 255) + `"`, "org_42"},
		{polar, "purchase", `"external_id": "org_42"`, `"external_id": "org_7"`, "org_7"},
		{polar, "purchase", `"external_id": "org_42"`, `"external_id": null`, ""},
		{polar, "purchase", `"campaign": 7`, `"owner": 7`, ""},
		{polar, "purchase", `"campaign": 7`, `"owner": "org_42"`, "org_42"},
		{polar, "purchase", `"metadata": {}`, `"metadata": {"owner": "org_7"}`, ""},
		{dodo, "purchase", `"metadata": {},`, `"metadata": {"owner": "org_7"},`, ""},
		{dodo, "purchase", `"metadata": {},`, `"metadata": {"owner": "org_42"},`, "org_42"},
		{dodo, "purchase", `"owner": "org_42"`, `"note": ""`, ""},
	} {
		st := newStore()
		body := edit(t, loadPayload(t, c.system, c.name), c.old, c.new)
		got := c.system.deliver(c.system.handler(t, st, nil), "e", body)
		switch {
		case c.own == "" && (got != 422 || len(st.rejected) != 1 || len(st.rows) > 0):
			t.Errorf("%s %s, %s: got %d, %v, want 422 and the event saved", c.system.name, c.name, c.new, got, st.rows)
		case c.own != "" && (got != 200 || st.onlyRow(t).Owner != c.own):
			t.Errorf("%s %s, %s: got %d, %v, want the owner %s", c.system.name, c.name, c.new, got, st.rows, c.own)
		}
	}
}

// A product with the plan "" may be sold alone or together with one that has a plan.
func TestItems(t *testing.T) {
	t.Parallel()
	one := func(price, end string) string {
		return `{"current_period_start": 1772359200, "current_period_end": ` + end + `, "price": {"id": "` + price + `", "product": {"id": "prod_x", "object": "product"}}}`
	}
	pro, team, extra := one("price_1Qpro0KhExample", "1775037600"), one("prod_QteamExample", "1775037600"), one("extra", "1774000000")
	for name, c := range map[string]struct {
		items  []string
		want   int
		plan   string
		status entitlement.Status
		until  int64
	}{
		"a plan":               {[]string{pro}, 200, "pro", active, 1775037600},
		"an extra after it":    {[]string{pro, extra}, 200, "pro", active, 1774000000},
		"an extra before it":   {[]string{extra, pro}, 200, "pro", active, 1774000000},
		"the same plan twice":  {[]string{pro, pro}, 200, "pro", active, 1775037600},
		"two plans":            {[]string{pro, team}, 422, "", "", 0},
		"an unknown one too":   {[]string{pro, one("price_x", "1775037600")}, 422, "", "", 0},
		"only extras":          {[]string{extra}, 200, "", ended, 1774000000},
		"nothing":              {nil, 422, "", "", 0},
		"a period without end": {[]string{one("price_1Qpro0KhExample", "null")}, 422, "", "", 0},
	} {
		st := newStore()
		body := `{"id": "evt_1", "type": "customer.subscription.updated", "created": 1772359200, "livemode": true, "data": {"object": {"id": "sub_1", "created": 1772359200,
			"status": "active", "customer": {"id": "cus_1"}, "metadata": {"owner": "org_42"}, "items": {"data": [` + strings.Join(c.items, ",") + `]}}}}`
		if got := stripe.deliver(stripe.handler(t, st, nil), "", []byte(body)); got != c.want {
			t.Errorf("%s: got %d, want %d: %v", name, got, c.want, st.rejected)
		}
		if c.want != 200 {
			continue
		}
		if got := st.onlyRow(t); got.Plan != c.plan || got.Status != c.status || got.PeriodEnd.Unix() != c.until {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
