package sandbox

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload: SIGHUP has the bot read its settings again. Bad ones are refused
// whole, with each problem and its line, and the bot goes on; good ones take
// their place without a restart of the process.
func TestReload(t *testing.T) {
	t.Parallel()
	w, err := NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	bot, err := w.StartBot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer bot.Kill()
	logged := func(text string, times int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			log := string(tail(w.Log()))
			if strings.Count(log, text) >= times {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the log has %q less than %d times:\n%s", text, times, log)
			}
		}
	}
	logged("slack socket up", 1)

	good, err := os.ReadFile(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	reload := func(settings string) {
		t.Helper()
		if err := os.WriteFile(w.Config(), []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := bot.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reload(strings.Replace(string(good), "kind: heroku, app: raxx-api-staging", "kind: herouk, app: raxx-api-staging", 1))
	logged("settings refused; the present ones stay", 1)
	logged("bot.yml:19: keysets[0].consumers[1].kind", 1)
	reload(string(good))
	logged("bot starts", 2)
	logged("slack socket up", 2)
	if code := bot.Stop(); code != 0 {
		t.Errorf("the bot ended with %d, want 0", code)
	}
}
