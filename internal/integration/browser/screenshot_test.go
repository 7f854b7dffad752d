package browser_test

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// screenshot saves the whole page, including the part below the window, in the folder
// KEYHATCH_SCREENSHOTS. The file is named after the test.
func (tab *tab) screenshot(t testing.TB, name string) {
	t.Helper()
	folder := os.Getenv("KEYHATCH_SCREENSHOTS")
	if folder == "" {
		return
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	size := call(t, tab, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize
	shot := call(t, tab, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Clip:                  &page.Viewport{Width: size.Width, Height: size.Height, Scale: 1},
		CaptureBeyondViewport: pointer(true),
	})
	file := strings.ReplaceAll(t.Name()+"-"+name, "/", "-") + ".png"
	if err := os.WriteFile(filepath.Join(folder, file), shot.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestScreenshot(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	tab := newTab(t, phone)
	tab.open(t, serve(t, map[string]string{"/": `<link rel="stylesheet" href="/page.css">`, "/page.css": `body { position: absolute; margin: 0; width: 100%; height: 2000px; background: #00f }`})+"/")
	t.Setenv("KEYHATCH_SCREENSHOTS", "")
	tab.screenshot(t, "none")
	t.Setenv("KEYHATCH_SCREENSHOTS", folder)
	tab.screenshot(t, "light")
	files, err := filepath.Glob(folder + "/*")
	if err != nil || len(files) != 1 || filepath.Base(files[0]) != "TestScreenshot-light.png" {
		t.Fatalf("got %q, %v", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds().Size()
	if size != image.Pt(2*390, 2*2000) {
		t.Errorf("got %v, want the whole page", size)
	}
	if r, g, b, _ := picture.At(size.X-1, size.Y-1).RGBA(); r != 0 || g != 0 || b != 0xffff {
		t.Errorf("got the color %x %x %x at its end", r, g, b)
	}
}
