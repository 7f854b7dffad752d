package browser_test

import (
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// A device is the screen and the input of a user.
type device struct {
	width, height int64 // in CSS pixels
	scale         float64
	touch         bool
}

var (
	desktop = device{width: 1280, height: 800, scale: 1}
	phone   = device{width: 390, height: 844, scale: 2, touch: true}
)

func (d device) emulate(t testing.TB, tab *tab) {
	t.Helper()
	call(t, tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: d.width, Height: d.height, DeviceScaleFactor: d.scale, Mobile: d.touch,
	})
	call(t, tab, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: d.touch})
}

// prefer sets a preference of the user, such as "color-scheme" to "dark", or "reduced-motion"
// to "reduce".
func (tab *tab) prefer(t testing.TB, what, value string) {
	t.Helper()
	tab.media["prefers-"+what] = value
	params := emulation.SetEmulatedMediaParams{}
	for name, value := range tab.media { // each command sets all preferences
		params.Features = append(params.Features, &emulation.MediaFeature{Name: name, Value: value})
	}
	call(t, tab, emulation.SetEmulatedMedia, params)
}

// withoutScript disables scripts in pages that are opened later.
func (tab *tab) withoutScript(t testing.TB) {
	t.Helper()
	tab.scriptless = true
	tab.forbidScript(t, true)
}

func (tab *tab) forbidScript(t testing.TB, forbid bool) {
	t.Helper()
	call(t, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: forbid})
}

// scripted enables scripts until end is called, since without scripts no promise resolves, not
// even a test's. Scripts that the page did not run when it was loaded still do not run.
func (tab *tab) scripted(t testing.TB) (end func()) {
	t.Helper()
	if !tab.scriptless {
		return func() {}
	}
	tab.forbidScript(t, false)
	return func() { tab.forbidScript(t, true) }
}

func TestDevices(t *testing.T) {
	t.Parallel()
	const seen = `() => [innerWidth, innerHeight, devicePixelRatio, navigator.maxTouchPoints > 0 && matchMedia('(pointer: coarse)').matches ? 1 : 0]`
	for _, d := range []device{desktop, phone} {
		tab := newTab(t, d)
		tab.open(t, serve(t, map[string]string{"/": ""})+"/")
		want := []float64{float64(d.width), float64(d.height), d.scale, 0}
		if d.touch {
			want[3] = 1
		}
		if got := eval[[]float64](t, tab, seen); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		// A phone shows a page without a viewport as a desktop does.
		tab.open(t, "data:text/html,<p>Words")
		if wide := eval[float64](t, tab, `() => innerWidth`) > float64(d.width); wide != d.touch {
			t.Errorf("got a wide page on a phone: %v, want %v", wide, d.touch)
		}
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	tab := newTab(t, desktop)
	matches := func(query string) bool {
		return eval[bool](t, tab, `query => matchMedia(query).matches`, query)
	}
	if !matches("(prefers-color-scheme: light)") || matches("(prefers-reduced-motion: reduce)") {
		t.Error("got a preference that was not set")
	}
	tab.prefer(t, "color-scheme", "dark")
	tab.prefer(t, "reduced-motion", "reduce")
	if !matches("(prefers-color-scheme: dark)") || !matches("(prefers-reduced-motion: reduce)") {
		t.Error("got none of the preferences")
	}
}

func TestWithoutScript(t *testing.T) {
	t.Parallel()
	site := serve(t, map[string]string{
		"/":        `<noscript>Please allow scripts.</noscript><p>Off</p><script src="/page.js"></script>`,
		"/page.js": `document.querySelector("p").textContent = "On"`,
	})
	tab := newTab(t, desktop)
	tab.withoutScript(t)
	tab.open(t, site+"/")
	if got := tab.text(t, "main"); got != "Site\nPlease allow scripts.\n\nOff" {
		t.Errorf("got %q", got)
	}
	if got := tab.stored(t); !got.empty() {
		t.Errorf("got %v", got)
	}
	tab.reload(t) // the setting must survive a reload
	if got := tab.text(t, "p"); got != "Off" {
		t.Errorf("got %q after reload", got)
	}
}
