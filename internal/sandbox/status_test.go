package sandbox

import (
	"strings"
	"testing"
	"time"
)

// TestStatusCountsFromFirstSeen: a key set that the bot never rotated is due too,
// counted from when the bot first saw it, and `bot status` says so beside the bot
// and without it.
func TestStatusCountsFromFirstSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bot, err := w.StartBot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().UTC()
	want := "due " + today.AddDate(0, 0, 180).Format(time.DateOnly) + " (counted from " + today.Format(time.DateOnly)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out, problems, _ := w.Bot(t.Context(), "status")
		if strings.Contains(out, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("bot status = %s%s, want %q in it", out, problems, want)
		}
	}
	if code := bot.Stop(); code != 0 {
		t.Errorf("the bot ended with %d, want 0", code)
	}
	if out, problems, code := w.Bot(t.Context(), "status"); code != 0 || !strings.Contains(out, want) {
		t.Errorf("bot status without a bot = %d, %s%s, want %q in it", code, out, problems, want)
	}
}
