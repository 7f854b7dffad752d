package httpprovider

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxPause bounds what a Retry-After can do: a wrong one must not end in a
// restart of the host.
const maxPause = 5 * time.Minute

// A pause is a time for which the service wants to be left alone.
type pause struct {
	mu    sync.Mutex
	until time.Time
}

func (p *pause) left(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until.Sub(now)
}

// after begins a pause if the response asks for one. One that is under way gets
// no shorter: answers overtake each other.
func (p *pause) after(resp *http.Response, now time.Time) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return
	}
	until := now.Add(retryAfter(resp.Header.Get("Retry-After"), now))
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.until) {
		p.until = until
	}
}

// retryAfter reads both of its forms, those of RFC 9110, section 10.2.3. What is
// neither is zero.
func retryAfter(value string, now time.Time) time.Duration {
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxPause)
	}
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return 0
	}
	var d time.Duration
	for _, digit := range value { // however many there are
		d = min(10*d+time.Duration(digit-'0')*time.Second, maxPause)
	}
	return d
}
