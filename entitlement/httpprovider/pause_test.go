package httpprovider_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

// A busy service returns a status and a Retry-After until it is changed. It counts
// the requests.
type busy struct {
	status   int
	after    string
	requests int
}

func (b *busy) RoundTrip(r *http.Request) (*http.Response, error) {
	b.requests++
	if b.status == 200 {
		return respond(200, `{"owner":"`+r.URL.Query().Get("owner")+`","plan":"pro","valid_until":null}`), nil
	}
	resp := respond(b.status, "")
	resp.Header.Set("Retry-After", b.after)
	return resp, nil
}

// No request is sent for as long as Retry-After says, at most five minutes.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) func() string {
		return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	text := func(s string) func() string { return func() string { return s } }
	for name, c := range map[string]struct {
		status int
		after  func() string
		want   time.Duration
	}{
		"seconds":                {503, text("7"), 7 * time.Second},
		"too many requests":      {429, text("7"), 7 * time.Second},
		"the longest":            {503, text("300"), 5 * time.Minute},
		"longer":                 {503, text("301"), 5 * time.Minute},
		"longer than any time":   {503, text("99999999999999999999999999"), 5 * time.Minute},
		"leading zeros":          {503, text("0000000000000000000000009"), 9 * time.Second},
		"a date":                 {503, in(9 * time.Second), 9 * time.Second},
		"an old form of a date":  {503, func() string { return time.Now().Add(9 * time.Second).UTC().Format(time.ANSIC) }, 9 * time.Second},
		"a date far ahead":       {503, in(24 * time.Hour), 5 * time.Minute},
		"a date that has passed": {503, in(-time.Hour), 0},
		"a date long ago":        {503, text("Mon, 01 Jan 0001 00:00:00 GMT"), 0},
		"zero":                   {503, text("0"), 0},
		"nothing":                {503, text(""), 0},
		"negative":               {503, text("-7"), 0},
		"a fraction":             {503, text("7.5"), 0},
		"non-ASCII digits":       {503, text("٧"), 0},
		"a word":                 {503, text("later"), 0},
		"another status":         {500, text("7"), 0},
		"status 404":             {404, text("7"), 0},
		"status 401":             {401, text("7"), 0},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &busy{status: c.status, after: c.after()}
				p := newProvider(t, "http://localhost", httpprovider.Options{Transport: b})
				e, err := p.Entitlement(t.Context(), "user_1")
				checkOutage(t, e, err)
				b.status = 200
				if c.want > 0 {
					checkPaused(t, p, b)
					time.Sleep(c.want - time.Millisecond)
					checkPaused(t, p, b)
					time.Sleep(time.Millisecond)
				}
				if e, err := p.Entitlement(t.Context(), "user_1"); err != nil || !e.APIAccess || b.requests != 2 {
					t.Errorf("after %v: got %+v, %v after %d requests, want success at the second request", c.want, e, err, b.requests)
				}
			})
		})
	}
}

// checkPaused fails if a request is sent, for the first owner or for another one.
func checkPaused(t *testing.T, p *httpprovider.Provider, b *busy) {
	t.Helper()
	began := time.Now()
	for _, owner := range []string{"user_1", "user_2"} {
		e, err := p.Entitlement(t.Context(), owner)
		checkOutage(t, e, err)
		if err != nil && !strings.Contains(err.Error(), "which ends in") {
			t.Errorf("got %v, want an error that names the pause", err)
		}
	}
	if b.requests != 1 || time.Since(began) != 0 {
		t.Errorf("got %d requests in %v, want no further request and an error at once", b.requests, time.Since(began))
	}
}

// A response that arrives late does not shorten a pause that began meanwhile.
func TestRetryAfterIsNotShortened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		p := newProvider(t, "http://localhost", httpprovider.Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
			resp := respond(503, "")
			resp.Header.Set("Retry-After", "60")
			if r.URL.Query().Get("owner") == "slow" {
				<-slow
				resp.Header.Set("Retry-After", "1")
			}
			return resp, nil
		})})
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Entitlement(t.Context(), "slow")
		}()
		synctest.Wait()
		p.Entitlement(t.Context(), "user_1")
		close(slow)
		<-done
		time.Sleep(59 * time.Second)
		if _, err := p.Entitlement(t.Context(), "user_1"); err == nil || !strings.Contains(err.Error(), "which ends in 1s") {
			t.Errorf("got %v, want a pause of another second", err)
		}
	})
}
