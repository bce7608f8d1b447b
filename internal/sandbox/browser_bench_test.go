package sandbox

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// firstView are the events of the stream that a page needs to draw all its parts.
func firstView() []string {
	return []string{"hello", "slack", "messages", "outside", "rotation", "audit"}
}

// BenchmarkFirstView starts the sandbox, as it was built, and reports how long it
// takes until the page and the first event of each of its parts are there.
func BenchmarkFirstView(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "sandbox")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, "../../cmd/sandbox").CombinedOutput(); err != nil {
		b.Fatalf("go build = %v\n%s", err, out)
	}
	var took []time.Duration
	for b.Loop() {
		took = append(took, timeFirstView(b, binary))
	}
	report(b, "first_view_ms", took)
}

// timeFirstView starts and ends one sandbox.
func timeFirstView(b *testing.B, binary string) time.Duration {
	b.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), binary, "--listen", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	defer func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			b.Error(err)
		}
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil {
			b.Errorf("the sandbox ended with %v, want nil", err)
		}
	}()
	line, err := lines.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Open ")
	if err != nil || !ok {
		b.Fatalf("the first line is %q, %v; want the address", line, err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/", "/assets/app.js"} {
		resp := fetch(b, client, url+path)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	resp := fetch(b, client, url+"/api/events?as="+Ada)
	defer resp.Body.Close()
	wanted := firstView()
	events := bufio.NewScanner(resp.Body)
	events.Buffer(nil, 1<<20)
	for len(wanted) > 0 && events.Scan() {
		if name, ok := strings.CutPrefix(events.Text(), "event: "); ok {
			wanted = slices.DeleteFunc(wanted, func(s string) bool { return s == name })
		}
	}
	if len(wanted) > 0 {
		b.Fatalf("the stream ends without %q: %v", wanted, events.Err())
	}
	return time.Since(began)
}

func fetch(b *testing.B, client *http.Client, url string) *http.Response {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("GET %s = %v, %v, want 200", url, resp, err)
	}
	return resp
}

// actJS presses a switch of the dashboard and resolves to the milliseconds until
// what came back over the stream is in the page.
const actJS = `() => new Promise((done) => {
	const word = () => document.querySelector('.toggle span').textContent;
	const before = word(), began = performance.now();
	const seen = new MutationObserver(() => {
		if (word() === before) return;
		seen.disconnect();
		done(performance.now() - began);
	});
	seen.observe(document.getElementById('outside'), { childList: true, characterData: true, subtree: true });
	document.querySelector('[data-testid=alpaca-market]').click();
})`

// BenchmarkActShows reports how long an act on the page takes to be seen on it:
// posted, done in the simulator, told by the stream, and drawn.
func BenchmarkActShows(b *testing.B) {
	st, err := openStage(b.Context(), time.Now, "127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := st.close(); err != nil {
			b.Errorf("close = %v, want nil", err)
		}
	})
	page := newTab(startBrowser(b), b, "")
	page.open(st.url)
	page.do(chromedp.EmulateViewport(wide, wideHigh))
	var took []time.Duration
	for b.Loop() {
		took = append(took, time.Duration(eval[float64](page, actJS)*float64(time.Millisecond)))
	}
	report(b, "act_ms", took)
}

// report gives the median and the worst instead of the mean.
func report(b *testing.B, unit string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(took[len(took)/2]), unit)
	b.ReportMetric(ms(took[len(took)-1]), "worst_"+unit)
}
