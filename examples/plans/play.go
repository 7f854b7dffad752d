package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
	t := &story{service: s, billing: billing{s.url, secret}, out: out}
	_, err = s.keys.RevokeAll(ctx, customer, "the story starts again")
	if err == nil {
		err = t.tell(ctx)
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

// tell ends with an ended plan, so that the story can start again.
func (t *story) tell(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		t.happens("purchase", 200), t.creates(200), t.calls("/reports", 200), t.calls("/reports/export", 403),
		t.happens("upgrade", 200), t.calls("/reports/export", 200), t.creates(200), t.creates(200),
		t.happens("purchase", 200), t.calls("/reports/export", 403), t.calls("/reports", 200), t.creates(409),
		t.happens("unpaid", 200), t.calls("/reports", 200),
		t.happens("unknown", 422), t.calls("/reports", 200),
		t.forges("cancel", 401), t.calls("/reports", 200),
		t.happens("cancel", 200), t.calls("/reports", 403), t.creates(403),
		t.happens("purchase", 200), t.calls("/reports", 200),
		t.happens("refund", 200), t.calls("/reports", 403),
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	refused, err := t.plans.Refused(ctx, 1)
	if err == nil && len(refused) == 1 {
		fmt.Fprintf(t.out, "      kept for review: %s\n", refused[0].Reason)
	}
	return err
}

func (t *story) happens(name string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := t.send(ctx, events[name])
		t.step("billing: "+name, got, want)
		return err
	}
}

func (t *story) forges(name string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := billing{t.url, newSecret()}.send(ctx, events[name])
		t.step("forger: "+name, got, want)
		return err
	}
}

// creates returns a step that creates a key. Later calls use the first key.
func (t *story) creates(want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, text, err := t.request(ctx, http.MethodPost, "/keys")
		if got == http.StatusOK && t.token == "" {
			t.token = strings.TrimSpace(text)
		}
		t.step("customer: a new key", got, want)
		return err
	}
}

func (t *story) calls(path string, want int) func(context.Context) error {
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
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

func (t *story) step(what string, got, want int) {
	mark, note := "ok   ", ""
	if got != want {
		t.wrong++
		mark, note = "WRONG", fmt.Sprint(", want ", want)
	}
	fmt.Fprintf(t.out, "%s %s %s %d%s\n", mark, what, strings.Repeat(".", max(3, 40-len(what))), got, note)
}
