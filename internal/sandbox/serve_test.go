package sandbox

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPageRotation does a whole rotation with nothing but what the page offers:
// R44, R48, R50, R52, R55, R59, R61.
func TestPageRotation(t *testing.T) {
	t.Parallel()
	st := open(t, nil)
	ada := browse(t, st.url, Ada)
	ada.begin()
	ada.submits(sealButton)
	account := ada.account()
	if got := ada.do("/api/alpaca/view", map[string]any{"account": account}); got["key_id"] == "" {
		t.Errorf("View shows %v, want the key ID", got)
	}

	// A LIVE pair is refused under its field, and the paper pair is taken.
	liveID, liveSecret := ada.generate("LIVE")
	ada.paste(liveID, liveSecret)
	if got := ada.do("/api/slack/submit", map[string]any{}); !strings.Contains(strings.ToUpper(flat(anyText(got["errors"]))), "LIVE") {
		t.Errorf("submitting a LIVE pair = %v, want an error that says so", got)
	}
	keyID, secret := ada.generate(account)
	ada.paste(keyID, secret)
	ada.submit()
	ada.completed()
	ada.works(keyID)
	if r := ada.rotation(); !r.Audit.Intact || r.Audit.Rows < 10 || r.Rotations[0].Exposure.TookMS <= 0 {
		t.Errorf("rotation event = %+v, want an intact record and an exposed time", r)
	}
	ada.until("the record has its last row", func() bool {
		ada.mu.Lock()
		defer ada.mu.Unlock()
		n := len(ada.rows)
		return n > 0 && ada.rows[n-1]["action"] == "secret.rotate.completed" && ada.rows[n-1]["hash"] != "" && ada.rows[n-1]["at"] != ""
	})
	ada.mu.Lock()
	for i, row := range ada.rows {
		if row["seq"] != float64(i+1) {
			t.Errorf("audit row %d has seq %v, want %d", i, row["seq"], i+1)
		}
	}
	for name, data := range ada.raw {
		if bytes.Contains(data, []byte(secret)) && name != "slack" {
			t.Errorf("event %s holds the secret", name)
		}
	}
	ada.mu.Unlock()
	ada.do("/api/slack/close", map[string]any{"all": true})
	ada.until("the modal is closed", func() bool { return ada.slack().Modal == nil })
	ada.pressIn(updated)
}

func anyText(v any) string {
	m, _ := v.(map[string]any)
	var b strings.Builder
	for _, text := range m {
		if s, ok := text.(string); ok {
			b.WriteString(s)
		}
	}
	return b.String()
}

// TestPageKillAndTakeOver kills the bot in the middle, and has somebody else go
// on; who may not is refused.
func TestPageKillAndTakeOver(t *testing.T) {
	t.Parallel()
	st := open(t, nil)
	ada, other := browse(t, st.url, Ada), browse(t, st.url, cleo)
	ada.begin()
	ada.submits(sealButton)
	account := ada.account()
	ada.do("/api/bot/kill", map[string]any{})
	ada.until("the bot is seen dead", func() bool { return !ada.rotation().BotRunning })
	if got := ada.try("/api/bot/kill", map[string]any{}); got["ok"] != false || got["error"] == "" {
		t.Errorf("killing a dead bot = %v, want a sentence", got)
	}
	ada.do("/api/bot/start", map[string]any{})
	if got := ada.try("/api/bot/start", map[string]any{}); got["ok"] != false {
		t.Errorf("starting a bot that runs = %v, want a refusal", got)
	}
	ada.online()
	for _, who := range []string{gus, Bob} {
		out := browse(t, st.url, who)
		out.do("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command})
		out.whispered("⛔")
	}
	partner := browse(t, st.url, eve)
	if got := partner.try("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command}); got["error"] != command+" is not a valid command." {
		t.Errorf("command of an external person = %v, want Slack's refusal", got)
	}
	other.pressIn(takeOverButton)
	other.pressIn(openButton)
	keyID, secret := other.generate(account)
	other.paste(keyID, secret)
	other.submit()
	other.completed()
	other.works(keyID)
}

// TestPageClock moves the clock and finds the bot up to date.
func TestPageClock(t *testing.T) {
	t.Parallel()
	st := open(t, nil)
	ada := browse(t, st.url, Ada)
	ada.online()
	before := ada.rotation().PID
	for _, bad := range []float64{0, -5, 1e9} {
		if got := ada.try("/api/clock", map[string]any{"advance_s": bad}); got["ok"] != false {
			t.Errorf("advance_s %v = %v, want a refusal", bad, got)
		}
	}
	ada.do("/api/clock", map[string]any{"advance_s": 5})
	ada.do("/api/clock", map[string]any{"advance_s": 86400})
	ada.until("the bot is started anew a day later", func() bool {
		r := ada.rotation()
		return r.Clock.Ahead == 86405 && r.PID != 0 && r.PID != before
	})
	ada.online()
	if out := ada.do("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command + " status"}); !strings.Contains(out["response"].(string), KeySet) {
		t.Errorf("status after a leap = %v, want the key set", out)
	}
}

// TestServe runs the command: it says where the page is, and what to do about a
// port that is in use, and leaves nothing behind.
func TestServe(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var stdout, stderr syncBuffer
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, env([]string{"--listen", "127.0.0.1:0"}, &stdout, &stderr)) }()
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(stdout.String(), "Ctrl-C") && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	line, _, _ := strings.Cut(stdout.String(), "\n")
	url, ok := strings.CutPrefix(line, "Open ")
	if !ok {
		t.Fatalf("sandbox wrote %q and %q, want the address first", stdout.String(), stderr.String())
	}
	browse(t, url, Ada).online()

	var out, problem bytes.Buffer
	if code := Main(t.Context(), env([]string{"--listen", strings.TrimPrefix(url, "http://")}, &out, &problem)); code != 1 || !strings.Contains(problem.String(), "--listen") {
		t.Errorf("sandbox on a used port = %d, %q, want 1 and a way out", code, problem.String())
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("sandbox after Ctrl-C = %d, %q, want 0", code, stderr.String())
	}
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second); err == nil {
		_ = conn.Close()
		t.Error("somebody still answers on the port")
	}
}

// TestStageLeavesNothing looks for the bot's process and folder after close.
func TestStageLeavesNothing(t *testing.T) {
	t.Parallel()
	st, err := openStage(t.Context(), time.Now, "localhost:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	child := st.bot.child
	if err := st.close(); err != nil {
		t.Errorf("close = %v, want nil", err)
	}
	if err := st.close(); err != nil {
		t.Errorf("a second close = %v, want nil", err)
	}
	select {
	case <-child.Exited():
	default:
		t.Error("the bot still runs")
	}
	if _, err := os.Stat(st.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// A syncBuffer can be read while somebody writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
