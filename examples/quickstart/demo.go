package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// A demo plays the roles of a customer and of the operator of a real service.
type demo struct {
	*service
	out   io.Writer
	file  string
	wrong int
}

const owner = "demo"

// runDemo runs a key through its whole life, from creation to revocation.
func runDemo(ctx context.Context, out io.Writer, addr, file string) error {
	who, err := newCustomers()
	if err != nil {
		return err
	}
	who.set(owner, subscription{plan: "pro"})
	s, err := start(ctx, addr, file, who)
	if err != nil {
		return err
	}
	d := &demo{service: s, out: out, file: file}
	fmt.Fprintf(out, "a service on %s, keys in %s\n\n", s.url, file)
	if err := d.life(ctx); err != nil {
		return errors.Join(err, d.stop())
	}
	if d.wrong > 0 {
		return fmt.Errorf("%d steps had an unexpected result", d.wrong)
	}
	fmt.Fprintln(out, "\nall steps passed")
	return nil
}

// life runs all steps. It stops the service.
func (d *demo) life(ctx context.Context) error {
	if _, err := d.keys.RevokeAll(ctx, owner, "demo started again"); err != nil {
		return err
	}
	token, err := d.use(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, string) (string, error){d.rotate, d.suspend, d.reopen, d.revoke} {
		if token, err = part(ctx, token); err != nil {
			return err
		}
	}
	return errors.Join(d.limit(ctx), d.lapse(ctx), d.outage(ctx))
}

// use creates a key and makes requests with it.
func (d *demo) use(ctx context.Context) (token string, err error) {
	first, err := d.newKey(ctx, owner, "first key")
	if err != nil {
		return "", err
	}
	token = first.Secret.Reveal()
	d.step("create a key", fmt.Sprint(first.Secret), "[redacted]")
	d.request("a request without a key", "GET", "", 401)
	d.request("with the key", "GET", token, 200)
	d.request("with one character changed", "GET", token[:20]+"_"+token[21:], 401)
	d.request("without the scope that the request needs", "DELETE", token, 403)
	page, err := d.keys.List(ctx, apikey.ListParams{Owner: owner, Limit: 1})
	if err != nil {
		return "", err
	}
	d.step("the list shows its hint", page.Keys[0].Hint, token[:len("demo_")+4])
	return token, nil
}

func (d *demo) newest(ctx context.Context) (apikey.Key, error) {
	page, err := d.keys.List(ctx, apikey.ListParams{Owner: owner, Limit: 1})
	if err != nil {
		return apikey.Key{}, err
	}
	return page.Keys[0], nil
}

func (d *demo) rotate(ctx context.Context, token string) (string, error) {
	key, err := d.newest(ctx)
	if err != nil {
		return "", err
	}
	second, err := d.keys.Rotate(ctx, owner, key.ID, time.Hour)
	if err != nil {
		return "", err
	}
	next := second.Secret.Reveal()
	d.request("rotated with an hour of grace: the old token", "GET", token, 200)
	d.request("and the new one", "GET", next, 200)
	third, err := d.keys.Rotate(ctx, owner, second.Key.ID, 0)
	if err != nil {
		return "", err
	}
	d.request("rotated without grace: the old token", "GET", next, 401)
	d.request("and the new one", "GET", third.Secret.Reveal(), 200)
	return third.Secret.Reveal(), nil
}

func (d *demo) suspend(ctx context.Context, token string) (string, error) {
	key, err := d.newest(ctx)
	if err != nil {
		return "", err
	}
	for _, disabled := range []bool{true, false} {
		if _, err := d.keys.Update(ctx, owner, key.ID, apikey.UpdateParams{Disabled: &disabled}); err != nil {
			return "", err
		}
		if disabled {
			d.request("disabled", "GET", token, 401)
		} else {
			d.request("enabled again", "GET", token, 200)
		}
	}
	return token, nil
}

// reopen stops the service and starts it again on the same file.
func (d *demo) reopen(ctx context.Context, token string) (string, error) {
	if err := d.stop(); err != nil {
		return "", err
	}
	d.step("the file does not contain the token", d.traces(token), "0 traces")
	again, err := start(ctx, "127.0.0.1:0", d.file, d.customers)
	if err != nil {
		return "", err
	}
	d.service = again
	d.request("after a restart", "GET", token, 200)
	key, err := d.newest(ctx)
	if err != nil {
		return "", err
	}
	d.step("its last-used time was written", fmt.Sprint(!key.LastUsedAt.IsZero()), "true")
	return token, nil
}

// traces counts the occurrences of a token in the database's files.
func (d *demo) traces(token string) string {
	files, err := filepath.Glob(d.file + "*")
	if err != nil || len(files) == 0 {
		return fmt.Sprint("no files: ", err)
	}
	n := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		n += bytes.Count(content, []byte(token[len(token)-30:]))
	}
	return fmt.Sprint(n, " traces")
}

func (d *demo) revoke(ctx context.Context, token string) (string, error) {
	key, err := d.newest(ctx)
	if err != nil {
		return "", err
	}
	_, mismatch := d.keys.Revoke(ctx, "another owner", key.ID, "stolen")
	d.step("another owner revokes it", result(mismatch), apikey.ErrNotFound.Error())
	if _, err := d.keys.Revoke(ctx, owner, key.ID, "leaked"); err != nil {
		return "", err
	}
	d.request("revoked", "GET", token, 401)
	return token, nil
}

func (d *demo) limit(ctx context.Context) error {
	if _, err := d.keys.RevokeAll(ctx, owner, "make room"); err != nil {
		return err
	}
	for n := range plans["pro"].MaxKeys {
		if _, err := d.newKey(ctx, owner, fmt.Sprint("key ", n+1)); err != nil {
			return err
		}
	}
	_, err := d.newKey(ctx, owner, "one too many")
	d.step("a sixth key on a plan of five", result(err), apikey.ErrLimitReached.Error())
	return nil
}

func (d *demo) lapse(ctx context.Context) error {
	const trier = "demo-trial"
	ends := time.Now().Add(time.Second)
	d.customers.set(trier, subscription{plan: "pro", until: ends})
	if _, err := d.keys.RevokeAll(ctx, trier, "demo started again"); err != nil {
		return err
	}
	issued, err := d.newKey(ctx, trier, "trial")
	if err != nil {
		return err
	}
	d.request("a key in a trial", "GET", issued.Secret.Reveal(), 200)
	time.Sleep(time.Until(ends))
	d.request("after the trial has ended", "GET", issued.Secret.Reveal(), 403)
	_, err = d.newKey(ctx, trier, "another")
	d.step("and a new key after it", result(err), apikey.ErrNotEntitled.Error())
	return nil
}

// outage closes the database while the service runs.
func (d *demo) outage(ctx context.Context) error {
	if _, err := d.keys.RevokeAll(ctx, owner, "make room"); err != nil {
		return err
	}
	cached, err := d.newKey(ctx, owner, "cached")
	if err != nil {
		return err
	}
	uncached, err := d.newKey(ctx, owner, "uncached")
	if err != nil {
		return err
	}
	d.request("a key, which is then cached", "GET", cached.Secret.Reveal(), 200)
	if err := d.store.Close(); err != nil {
		return err
	}
	d.request("the cached key without the database", "GET", cached.Secret.Reveal(), 200)
	d.request("and a key that is not cached", "GET", uncached.Secret.Reveal(), 503)
	lost := errors.Is(d.stop(), apikey.ErrUnavailable)
	d.step("stopping reports an unwritten last-used time", fmt.Sprint(lost), "true")
	return nil
}

func result(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// request makes a request over the network and compares the status.
func (d *demo) request(what, method, token string, want int) {
	req, err := http.NewRequest(method, d.url+"/reports", nil)
	if err != nil {
		d.step(what, err.Error(), fmt.Sprint(want))
		return
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.step(what, err.Error(), fmt.Sprint(want))
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	d.step(what, fmt.Sprint(resp.StatusCode), fmt.Sprint(want))
}

// step prints a step and its result.
func (d *demo) step(what, got, want string) {
	mark := "ok   "
	if got != want {
		d.wrong++
		mark, got = "WRONG", got+", want "+want
	}
	fmt.Fprintf(d.out, "%s %s %s %s\n", mark, what, strings.Repeat(".", max(3, 48-len(what))), got)
}
