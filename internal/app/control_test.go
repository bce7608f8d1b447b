package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/sandbox"
)

// TestBesideRunning: commands that read work while the bot holds the state, and
// see what it has committed (R90).
func TestBesideRunning(t *testing.T) {
	b := newSandboxed(t)
	stop := b.run(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ada := &sandbox.Operator{Slack: b.Slack, Dashboard: b.Alpaca, User: sandbox.Ada, Name: "@ada", Say: func(string) {}}
	if _, err := ada.Rotate(ctx); err != nil {
		t.Fatalf("Rotate = %v\n%s", err, b.log)
	}
	for _, c := range []struct{ args, want string }{
		{"status", "prod: due "},
		{"status --json", `"name":"prod","next_due":"`},
		{"audit verify", "intact: "},
		{"audit export", `"action":"secret.rotate.completed"`},
	} {
		out, problem, code := b.Bot(ctx, strings.Fields(c.args)...)
		if code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("bot %s beside the bot = %d, %q, %q, want %q", c.args, code, out, problem, c.want)
		}
	}
	bot := control.Dial(b.opts.Config.State.Socket)
	defer bot.Close()
	views, err := bot.Rotations(ctx)
	if err != nil || len(views) != 1 || views[0].Rotation.Outcome != "completed" || views[0].Exposure.TookMS <= 0 {
		t.Errorf("Rotations = %+v, %v, want the completed one with its exposed time", views, err)
	}
	if v, err := bot.Verify(ctx); err != nil || !v.Intact || v.Rows < 10 {
		t.Errorf("Verify = %+v, %v, want an intact record", v, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if out, problem, code := b.Bot(t.Context(), "audit", "verify"); code != 0 {
		t.Errorf("bot audit verify after the stop = %d, %q, %q, want it to read the file", code, out, problem)
	}
}
