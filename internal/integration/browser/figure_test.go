package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
)

// maxWeight is the maximum size of all files that the page loads, uncompressed, in bytes.
const maxWeight = 40_000

// The page is small and soon interactive.
func TestWeight(t *testing.T) {
	p := newPanel(t, nil, nil)
	for i := range 3 {
		p.create(t, apikey.CreateParams{Name: fmt.Sprint("key ", i), Scopes: []string{"reports:read"}})
	}
	tab := p.open(t, desktop)
	total := 0
	weights := ""
	for _, path := range []string{"", "panel.css", "panel.js"} {
		resp, err := http.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, err)
		}
		total += len(body)
		weights += fmt.Sprintf(" %q %d", path, len(body))
	}
	// The page loads nothing else, except the host's icon.
	if n := len(tab.requests(t)); n > 4 {
		t.Errorf("got %d requests: %v", n, tab.requests(t))
	}
	if total > maxWeight {
		t.Errorf("size of the page: got %d bytes, want at most %d", total, maxWeight)
	}
	var all []time.Duration
	for range 9 {
		tab.open(t, p.url)
		// At its end, the script shows the elements that need the script.
		tab.wait(t, `button[data-do=create]`)
		ms := eval[float64](t, tab, `() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd`)
		all = append(all, time.Duration(ms*float64(time.Millisecond)))
	}
	slices.Sort(all)
	t.Logf("%d bytes in all:%s; interactive after %v (median of %d; %v to %v)", total, weights,
		all[len(all)/2].Round(time.Millisecond), len(all), all[0].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}
