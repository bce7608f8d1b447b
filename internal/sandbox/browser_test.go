package sandbox

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var imagesDir = flag.String("sandbox.images", "", "write screenshots of the page's main moments into this `folder`")

// Environment of the tests in a browser.
const (
	requireBrowser = "KEYTURN_REQUIRE_BROWSER" // "1": without a browser or axe-core they fail instead of being skipped
	axePath        = "KEYTURN_AXE"             // axe.min.js, if not where npm puts it
)

// TestBrowser does with a mouse and a keyboard what a person does on the page. The
// cases take turns in one browser; none sees what another left behind.
func TestBrowser(t *testing.T) {
	t.Parallel()
	ctx := startBrowser(t)
	axe := readAxe(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *tab)
	}{
		{"rotation", testBrowserRotation},
		{"kill and take over", testBrowserTakeOver},
		{"guest", testBrowserGuest},
		{"keyboard", testBrowserKeyboard},
		{"narrow", testBrowserNarrow},
		{"drill", testBrowserDrill},
		{"paged", testBrowserPaged},
		{"words", testBrowserWords},
		{"not supported", testBrowserNotSupported},
		{"live parts", testBrowserLive},
		{"many messages", testBrowserMessages},
		{"sandbox restarted", testBrowserRestart},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newTab(ctx, t, axe)) })
	}
}

// missing skips the test, or fails it where a browser is required.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(requireBrowser) == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// startBrowser starts Chromium without a window, with a profile of its own, and
// ends it with the test.
func startBrowser(t testing.TB) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "there is no browser: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(wide, wideHigh), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("lang", "en-US"), chromedp.Env("TZ=UTC"))
	alloc, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, _ := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		limited, done := context.WithTimeout(ctx, 10*time.Second)
		defer done()
		if err := chromedp.Cancel(limited); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("closing the browser = %v, want nil", err)
		}
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		missing(t, "%s does not start: %v", path, err)
	}
	return ctx
}

// readAxe returns the accessibility checker. Without it what it looks at is
// skipped, and "" returned.
func readAxe(t *testing.T) (source string) {
	t.Helper()
	path := os.Getenv(axePath)
	if path == "" {
		path = filepath.Join("..", "..", "conformance", "axe", "node_modules", "axe-core", "axe.min.js")
	}
	t.Run("axe-core", func(t *testing.T) {
		data, err := os.ReadFile(path)
		if err != nil {
			missing(t, "there is no axe-core: npm ci --prefix conformance/axe (%v)", err)
		}
		source = string(data)
	})
	return source
}
