package browser_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := chromium.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// programs are names of the browser, the best first.
var programs = []string{
	"chromium", "chromium-browser", "google-chrome-stable", "google-chrome",
	"/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
}

// errMissing is matched by errors that say what to install.
var errMissing = errors.New("install")

// chromium is the one browser of the test process, which starts when the first
// test asks for it.
var chromium sharedBrowser

type sharedBrowser struct {
	once sync.Once
	err  error

	ctx    context.Context // the browser's, of which tabs are children
	keeper *keeper

	mu     sync.Mutex
	misses []string // events that the client could not read
}

// context returns that of the running browser.
func (b *sharedBrowser) context(t testing.TB) context.Context {
	t.Helper()
	if os.Getenv("KEYHATCH_BROWSER") == "" {
		t.Skip("a browser leaves nothing to the tests beside it: make browser runs this alone")
	}
	b.once.Do(func() { b.err = b.start() })
	require(t, b.err)
	return b.ctx
}

func (b *sharedBrowser) start() error {
	program, err := find(programs...)
	if err != nil {
		return fmt.Errorf("no Chromium here: %w chromium", errMissing)
	}
	if b.keeper, err = newKeeper(); err != nil {
		return err
	}
	folder := b.keeper.folder
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.ModifyCmdFunc(giveWay),
		chromedp.UserDataDir(folder+"/profile"),
		// Neither a proxy nor a language nor a time zone of the machine.
		chromedp.NoInheritEnv,
		chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+folder, "TMPDIR="+folder, "LC_ALL=C", "TZ=UTC"),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("no-proxy-server", true),
		// The browser can reach only this machine, so that a test finds a page
		// that loads anything else.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("disable-component-update", true),
		// Each window loads the popups of its address bar, which are pages too, and
		// each page has the process for the next one started. It takes twice the time.
		chromedp.Flag("disable-features", "Translate,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess"),
		// Containers often lack what the sandbox needs, and all pages are ours.
		chromedp.NoSandbox,
	)
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	b.ctx, _ = chromedp.NewContext(allocator, chromedp.WithErrorf(b.missed))
	if err := chromedp.Do(b.ctx); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}

// giveWay starts the browser with the lowest priority: it uses all CPUs, as root it
// raises its own priority, and the tests that run beside these measure times.
func giveWay(cmd *exec.Cmd) {
	if chrt, err := exec.LookPath("chrt"); err == nil {
		cmd.Args = append([]string{chrt, "--idle", "0", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = chrt
	}
}

// missed takes what the client complains of. Where it is an event that it cannot
// read, a violation might be in it, so the tests must not pass.
func (b *sharedBrowser) missed(format string, args ...any) {
	if !strings.HasPrefix(format, "could not unmarshal event") {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.misses = append(b.misses, fmt.Sprintf(format, args...))
}

// end ends the browser, and keeps one from being started later.
func (b *sharedBrowser) end() error {
	b.once.Do(func() { b.err = errors.New("the tests are over") })
	var err error
	if b.ctx != nil {
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		defer cancel()
		err = chromedp.Cancel(ctx)
	}
	if b.keeper != nil {
		b.keeper.end()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.misses) > 0 {
		err = errors.Join(err, fmt.Errorf("the client cannot read what the browser says: %q", b.misses))
	}
	return err
}

// find returns the path of the first program that is there.
func find(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// require ends a test that lacks something.
func require(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) && os.Getenv("KEYHATCH_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequire(t *testing.T) {
	_, err := find("no-such-program")
	if err == nil {
		t.Fatal("found what is not there")
	}
	missing := fmt.Errorf("no Chromium here: %w chromium", errMissing)
	t.Setenv("KEYHATCH_REQUIRE_SERVERS", "")
	if got := attempt(t, func(t testing.TB) { require(t, missing) }); got.skipped != missing.Error() || got.failed != nil {
		t.Errorf("got %+v, want a skip that says what to install", got)
	}
	t.Setenv("KEYHATCH_REQUIRE_SERVERS", "1")
	if got := attempt(t, func(t testing.TB) { require(t, missing) }); len(got.failed) != 1 || got.skipped != "" {
		t.Errorf("got %+v, want a failure", got)
	}
}

const child = "KEYHATCH_BROWSER_CHILD"

// A test process takes its browser and the browser's folder with it, also when
// it is killed.
func TestBrowserGoesWithItsProcess(t *testing.T) {
	if how := os.Getenv(child); how != "" {
		newTab(t, desktop)
		fmt.Println("ready")
		if how == "killed" {
			select {}
		}
		return
	}
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked for in /proc")
	}
	chromium.context(t)
	for _, how := range []string{"killed", "ended"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			folder, err := os.MkdirTemp("", "") // t.TempDir's are too long for the browser's socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(folder) })
			p := exec.Command(os.Args[0], "-test.run=^TestBrowserGoesWithItsProcess$")
			p.Env = append(os.Environ(), child+"="+how, "TMPDIR="+folder)
			out, err := p.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "ready" {
				rest, _ := io.ReadAll(out)
				t.Fatalf("got %q and %s", lines.Text(), rest)
			}
			if how == "killed" {
				if processes(t, folder) == 0 {
					t.Error("found no browser that runs, so this test cannot fail")
				}
				p.Process.Kill()
			}
			p.Wait()
			for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				left, _ := os.ReadDir(folder)
				running := processes(t, folder)
				if len(left) == 0 && running == 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d processes and %v are left", running, left)
				}
			}
		})
	}
}

// processes counts those whose command names the folder.
func processes(t testing.TB, folder string) (n int) {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		command, _ := os.ReadFile(file) // of one that may just have ended
		if strings.Contains(string(command), "="+folder) {
			n++
		}
	}
	return n
}
