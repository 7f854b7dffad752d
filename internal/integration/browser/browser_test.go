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

// programs lists names of the browser, in order of preference.
var programs = []string{
	"chromium", "chromium-browser", "google-chrome-stable", "google-chrome",
	"/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
}

// errNotInstalled is matched by errors that name a program to install.
var errNotInstalled = errors.New("not installed")

// chromium is the only browser of the test process. The first test that needs it starts it.
var chromium sharedBrowser

type sharedBrowser struct {
	once sync.Once
	err  error

	ctx    context.Context // context of the browser, and parent of the contexts of tabs
	keeper *keeper

	mu     sync.Mutex
	misses []string // events that the client could not read
}

// context returns the context of the running browser.
func (b *sharedBrowser) context(t testing.TB) context.Context {
	t.Helper()
	if os.Getenv("KEYHATCH_BROWSER") == "" {
		t.Skip("a browser would slow down other tests: use make browser")
	}
	b.once.Do(func() { b.err = b.start() })
	require(t, b.err)
	return b.ctx
}

func (b *sharedBrowser) start() error {
	program, err := find(programs...)
	if err != nil {
		return fmt.Errorf("Chromium is missing; install the package chromium: %w", errNotInstalled)
	}
	if b.keeper, err = newKeeper(); err != nil {
		return err
	}
	folder := b.keeper.folder
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.ModifyCmdFunc(giveWay),
		chromedp.UserDataDir(folder+"/profile"),
		// Independent of the machine's proxy, language and time zone.
		chromedp.NoInheritEnv,
		chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+folder, "TMPDIR="+folder, "LC_ALL=C", "TZ=UTC"),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("no-proxy-server", true),
		// The browser can reach only this machine, so that a test finds a page
		// that loads anything else.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("disable-component-update", true),
		// Without this, each window would also load the popups of its address bar, and each page
		// would start a spare process. The tests would take twice as long.
		chromedp.Flag("disable-features", "Translate,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess"),
		// The sandbox often does not work in containers, and all pages are ours.
		chromedp.NoSandbox,
	)
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	b.ctx, _ = chromedp.NewContext(allocator, chromedp.WithErrorf(b.missed))
	if err := chromedp.Do(b.ctx); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}

// giveWay starts the browser with the lowest priority, since it uses all CPUs while other tests
// measure times. Otherwise a browser that runs as root would even raise its priority.
func giveWay(cmd *exec.Cmd) {
	if chrt, err := exec.LookPath("chrt"); err == nil {
		cmd.Args = append([]string{chrt, "--idle", "0", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = chrt
	}
}

// missed gets the errors of the client. If the client cannot read an event, the event could be a
// violation, so the tests must not pass.
func (b *sharedBrowser) missed(format string, args ...any) {
	if !strings.HasPrefix(format, "could not unmarshal event") {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.misses = append(b.misses, fmt.Sprintf(format, args...))
}

// end ends the browser, and prevents a later start.
func (b *sharedBrowser) end() error {
	b.once.Do(func() { b.err = errors.New("the tests have ended") })
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
		err = errors.Join(err, fmt.Errorf("the client cannot read events of the browser: %q", b.misses))
	}
	return err
}

// find returns the path of the first program that is installed.
func find(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// require skips or fails the test if err matches errNotInstalled, and fails it for other
// errors.
func require(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNotInstalled) && os.Getenv("KEYHATCH_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequire(t *testing.T) {
	_, err := find("no-such-program")
	if err == nil {
		t.Fatal("found a program that is not installed")
	}
	missing := fmt.Errorf("Chromium is missing; install the package chromium: %w", errNotInstalled)
	t.Setenv("KEYHATCH_REQUIRE_SERVERS", "")
	if got := attempt(t, func(t testing.TB) { require(t, missing) }); got.skipped != missing.Error() || got.failed != nil {
		t.Errorf("got %+v, want a skip that names the program to install", got)
	}
	t.Setenv("KEYHATCH_REQUIRE_SERVERS", "1")
	if got := attempt(t, func(t testing.TB) { require(t, missing) }); len(got.failed) != 1 || got.skipped != "" {
		t.Errorf("got %+v, want a failure", got)
	}
}

const child = "KEYHATCH_BROWSER_CHILD"

// When a test process ends, even by SIGKILL, its browser ends and the browser's folder is
// removed.
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
		t.Skip("needs /proc")
	}
	chromium.context(t)
	for _, how := range []string{"killed", "ended"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			folder, err := os.MkdirTemp("", "") // paths of t.TempDir are too long for the browser's socket
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
					t.Error("found no running browser, so this test cannot fail")
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
					t.Fatalf("after the test process: got %d processes and %v, want none", running, left)
				}
			}
		})
	}
}

// processes counts the processes whose command contains the folder.
func processes(t testing.TB, folder string) (n int) {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		command, _ := os.ReadFile(file) // the process may just have ended
		if strings.Contains(string(command), "="+folder) {
			n++
		}
	}
	return n
}
