package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// play starts three instances, runs the script and then measures revocations.
func (s setup) play(ctx context.Context, out io.Writer, rounds int) error {
	if s.bus != "redis" && s.bus != "notify" || rounds < 1 {
		return errors.New("want -bus redis or -bus notify, and 1 round or more")
	}
	var instances []*process
	secret := rand.Text() + rand.Text()
	for _, name := range []string{"A", "B", "C"} {
		p, err := s.start(ctx, name, secret)
		if err != nil {
			return err
		}
		defer p.stop()
		fmt.Fprintf(out, "instance %s on %s\n", name, p.url)
		instances = append(instances, p)
	}
	if err := script(ctx, out, instances); err != nil {
		return err
	}
	return measure(ctx, out, instances, rounds)
}

// timeout bounds a script or a round. Instances see a revocation much earlier.
const timeout = 30 * time.Second

// script creates, uses and revokes one key, and prints each request.
func script(ctx context.Context, out io.Writer, all []*process) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := create(ctx, all[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\ncreate on A: 201\n")
	for _, p := range all[1:] {
		if err := p.want(ctx, key, http.StatusOK); err != nil {
			return err
		}
		fmt.Fprintf(out, "use on %s:    200\n", p.name)
	}
	began := time.Now()
	if err := revoke(ctx, all[0], key); err != nil {
		return err
	}
	revoked := time.Now()
	fmt.Fprintf(out, "revoke on A: 204, in %v\n", revoked.Sub(began).Round(10*time.Microsecond))
	for _, p := range all[1:] {
		if _, err := p.lastAccepted(ctx, key); err != nil {
			return err
		}
		fmt.Fprintf(out, "use on %s:    401, %v later\n", p.name, time.Since(revoked).Round(10*time.Microsecond))
	}
	return nil
}

// measure revokes keys while the other instances get requests without a pause.
func measure(ctx context.Context, out io.Writer, all []*process, rounds int) error {
	var delays []time.Duration
	for range rounds {
		d, err := round(ctx, all)
		if err != nil {
			return err
		}
		delays = append(delays, d)
	}
	slices.Sort(delays)
	fmt.Fprintf(out, "\n%d revocations, from the response of A to the last request that B or C accepted: p50 %v, p99 %v, max %v\n",
		rounds, at(delays, 50), at(delays, 99), at(delays, 100))
	return nil
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
}

// round returns the time from the response to a revocation to the start of the last
// accepted request. It is 0 if the last accepted request began before the response.
func round(ctx context.Context, all []*process) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := create(ctx, all[0])
	if err != nil {
		return 0, err
	}
	type result struct {
		last time.Time
		err  error
	}
	results := make(chan result)
	for _, p := range all[1:] {
		if err := p.want(ctx, key, http.StatusOK); err != nil {
			return 0, err
		}
		go func() {
			last, err := p.lastAccepted(ctx, key)
			results <- result{last, err}
		}()
	}
	err = revoke(ctx, all[0], key)
	revoked := time.Now()
	if err != nil {
		cancel() // the key will not be refused
	}
	var delay time.Duration
	for range all[1:] {
		r := <-results
		err = errors.Join(err, r.err)
		delay = max(delay, r.last.Sub(revoked))
	}
	return delay, err
}

// lastAccepted sends requests until the key is refused. It returns the start of the
// last accepted one.
func (p *process) lastAccepted(ctx context.Context, key createdKey) (last time.Time, err error) {
	for {
		began := time.Now()
		status, err := p.use(ctx, key)
		switch {
		case err != nil:
			return last, err
		case status == http.StatusUnauthorized:
			return last, nil
		case status != http.StatusOK:
			return last, fmt.Errorf("use on %s: got %d, want 200 or 401", p.name, status)
		}
		last = began
	}
}

func (p *process) want(ctx context.Context, key createdKey, status int) error {
	got, err := p.use(ctx, key)
	if err == nil && got != status {
		err = fmt.Errorf("use on %s: got %d, want %d", p.name, got, status)
	}
	return err
}

func (p *process) use(ctx context.Context, key createdKey) (status int, err error) {
	return p.request(ctx, "GET", "/reports", key.Token, nil)
}

func create(ctx context.Context, p *process) (key createdKey, err error) {
	status, err := p.request(ctx, "POST", "/keys", "", &key)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("create on %s: got %d, want 201", p.name, status)
	}
	return key, err
}

func revoke(ctx context.Context, p *process, key createdKey) error {
	status, err := p.request(ctx, "DELETE", "/keys/"+key.ID, "", nil)
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("revoke on %s: got %d, want 204", p.name, status)
	}
	return err
}

// request decodes a successful response into v, unless v is nil.
func (p *process) request(ctx context.Context, method, path, token string, v any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if v != nil && resp.StatusCode < 300 {
		return resp.StatusCode, json.NewDecoder(resp.Body).Decode(v)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
