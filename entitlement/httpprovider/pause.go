package httpprovider

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxPause bounds a Retry-After, so that a wrong one does not force a restart
// of the host.
const maxPause = 5 * time.Minute

// A pause is a time in which no requests are sent, as the service has asked.
type pause struct {
	mu    sync.Mutex
	until time.Time
}

func (p *pause) left(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until.Sub(now)
}

// update begins a pause if the response asks for one. It never shortens the
// current pause, since responses may arrive out of order.
func (p *pause) update(resp *http.Response, now time.Time) {
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

// retryAfter parses both forms of RFC 9110, section 10.2.3. It returns zero for
// any other value.
func retryAfter(value string, now time.Time) time.Duration {
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxPause)
	}
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return 0
	}
	var d time.Duration
	for _, digit := range value { // may be many; must not overflow
		d = min(10*d+time.Duration(digit-'0')*time.Second, maxPause)
	}
	return d
}
