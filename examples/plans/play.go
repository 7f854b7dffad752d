package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A story is a sequence of HTTP requests, as the customer and the billing system send
// them.
type story struct {
	*service
	billing
	out   io.Writer
	wrong int
	token string // the customer's key
}

func play(ctx context.Context, out io.Writer, addr, file, secret string) error {
	s, err := start(ctx, addr, file, secret)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "a service on %s, keys and plans in %s\n\n", s.url, file)
	t := &story{service: s, billing: billing{s.url, secret, rand.Text()}, out: out}
	_, err = s.keys.RevokeAll(ctx, customer, "the story starts again")
	if err == nil {
		err = t.runSteps(ctx)
	}
	if err = errors.Join(err, s.stop()); err != nil {
		return err
	}
	if t.wrong > 0 {
		return fmt.Errorf("%d steps had an unexpected result", t.wrong)
	}
	fmt.Fprintln(out, "\nall steps passed")
	return nil
}

// runSteps leaves the customer with an ended plan, so that the story can start again.
func (t *story) runSteps(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		t.sendEvent("purchase", 200), t.createKey(200), t.get("/reports", 200), t.get("/reports/export", 403), t.sendEvent("payment", 200),
		t.sendEvent("upgrade", 200), t.get("/reports/export", 200), t.createKey(200), t.createKey(200),
		t.sendEvent("purchase", 200), t.get("/reports/export", 403), t.get("/reports", 200), t.createKey(409),
		t.sendEvent("unpaid", 200), t.get("/reports", 200),
		t.sendEvent("unknown", 422), t.get("/reports", 200),
		t.forgeEvent("cancel", 401), t.get("/reports", 200),
		t.sendEvent("cancel", 200), t.get("/reports", 403), t.createKey(403),
		t.sendEvent("purchase", 200), t.get("/reports", 200),
		t.sendEvent("refund", 200), t.get("/reports", 403),
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	rejected, err := t.plans.Rejected(ctx, 1)
	if err == nil && len(rejected) == 1 {
		fmt.Fprintf(t.out, "      saved for review: %s\n", rejected[0].Reason)
	}
	return err
}

// sendEvent returns a step that sends an event and prints what it changed for the
// customer.
func (t *story) sendEvent(name string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		before, err := t.look(ctx)
		if err != nil {
			return err
		}
		got, err := t.send(ctx, events[name])
		if err != nil {
			return err
		}
		sent := time.Now()
		after, err := t.look(ctx)
		t.step("billing: "+name, got, want)
		if after != before && t.token != "" {
			fmt.Fprintf(t.out, "      %s → %s, GET /reports %d → %d, %.1f ms after the event\n",
				before.plan, after.plan, before.status, after.status, float64(time.Since(sent).Microseconds())/1000)
		}
		return err
	}
}

// A view is what the customer has: the plan, and the status of a request.
type view struct {
	plan   string
	status int
}

func (t *story) look(ctx context.Context) (v view, err error) {
	if v.status, _, err = t.request(ctx, http.MethodGet, "/reports"); err != nil {
		return v, err
	}
	e, err := t.plans.Entitlement(ctx, customer)
	if errors.Is(err, entitlement.ErrNone) {
		err = nil
	}
	if v.plan = e.Plan; !e.APIAccess {
		v.plan = "no plan"
	}
	return v, err
}

func (t *story) forgeEvent(name string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := billing{t.url, newSecret(), t.run}.send(ctx, events[name])
		t.step("forger: "+name, got, want)
		return err
	}
}

// createKey returns a step that creates a key. Later calls use the first key.
func (t *story) createKey(want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, text, err := t.request(ctx, http.MethodPost, "/keys")
		if got == http.StatusOK && t.token == "" {
			t.token = strings.TrimSpace(text)
		}
		t.step("customer: a new key", got, want)
		return err
	}
}

func (t *story) get(path string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, _, err := t.request(ctx, http.MethodGet, path)
		t.step("customer: GET "+path, got, want)
		return err
	}
}

func (t *story) request(ctx context.Context, method, path string) (status int, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, t.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+t.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (t *story) step(what string, got, want int) {
	mark, note := "ok   ", ""
	if got != want {
		t.wrong++
		mark, note = "WRONG", fmt.Sprint(", want ", want)
	}
	fmt.Fprintf(t.out, "%s %s %s %d%s\n", mark, what, strings.Repeat(".", max(3, 40-len(what))), got, note)
}
