package sandbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const (
	readyLimit    = 20 * time.Second // from the bot's start to its socket
	rotationLimit = 2 * time.Minute  // a whole scripted rotation; usual are two seconds
)

// anchorText finds the anchor that a rotation's message carries.
var anchorText = regexp.MustCompile(`--anchor (\d+:[0-9a-f]{12,64})`)

// Auto starts the bot, has Ada do one rotation, stops the bot and looks at what
// became of the world. say is told what happens, as it happens.
func (w *World) Auto(ctx context.Context, say func(string)) Report {
	return w.Play(ctx, Fault{}, say)
}

// Play is Auto with something going wrong on the way. The report's Problem is
// nil if it ended as f says.
func (w *World) Play(ctx context.Context, f Fault, say func(string)) Report {
	r := Report{End: f.end()}
	if r.Err = f.prepare(w); r.Err != nil {
		return r
	}
	s, done, err := w.stage(ctx, say)
	if err != nil {
		r.Err = err
		return r
	}
	r.Err = s.play(f) //nolint:contextcheck // what is done after ctx has ended has a time of its own
	done()
	if code := s.running().Stop(); code != 0 && r.Err == nil {
		r.Err = fmt.Errorf("the bot ended with %d after SIGTERM, want 0", code)
	}
	say("the bot is stopped")
	ctx = context.WithoutCancel(ctx) // also after an interrupt
	rows, err := w.auditRows(ctx)
	if err != nil {
		r.Err = errors.Join(r.Err, err)
		return r
	}
	r.read(rows)
	if r.Outcome == waiting && s.waits != "" {
		r.For = s.waits
	}
	if r.Err == nil {
		r.Checks = s.checks(f)
		if f.Also != nil {
			r.Checks = append(r.Checks, f.Also(s, r)...)
		}
		r.Checks = append(r.Checks, Check{Name: "the audit record is intact, and agrees with the anchor in #ops", Err: w.auditIntact(ctx, s.anchor)})
	}
	return r
}

// play is everything that people do, from the bot's start to the last button.
func (s *Scene) play(f Fault) error {
	if err := s.connected(); err != nil {
		return err
	}
	act := f.Act
	if act == nil {
		act = (*Scene).rotate
	}
	if err := act(s); err != nil {
		return err
	}
	if f.end() != completed {
		return nil
	}
	people := []string{Ada, Bob}
	if f.Later {
		people = nil
	}
	for _, user := range people {
		if err := s.Acknowledge(s.ctx, user); err != nil {
			return fmt.Errorf("%s presses %s: %w", s.name(user), updated, err)
		}
		s.Say(s.name(user) + " presses " + updated + " in the direct message")
	}
	anchor, err := s.channel(s.ctx, s.Say)
	s.anchor = anchor
	return err
}

// channel waits for the last state of the rotation's message in #ops, tells it,
// and returns the anchor in it.
func (w *World) channel(ctx context.Context, say func(string)) (string, error) {
	m, err := w.Slack.WaitMessage(ctx, OpsChannel, func(m slacksim.Message) bool { return anchorText.MatchString(m.Visible()) })
	if err != nil {
		return "", fmt.Errorf("wait for the summary in #ops: %w", context.Cause(ctx))
	}
	say("#ops shows:")
	for line := range strings.Lines(plain(m.Visible())) {
		say("  " + strings.TrimSpace(line))
	}
	return anchorText.FindStringSubmatch(m.Visible())[1], nil
}

// auditIntact has the bot itself check its record, against the anchor if there
// is one.
func (w *World) auditIntact(ctx context.Context, anchor string) error {
	args := []string{"audit", "verify"}
	if anchor != "" {
		args = append(args, "--anchor", anchor)
	}
	if _, problem, code := w.Bot(ctx, args...); code != 0 {
		return fmt.Errorf("audit verify ended with %d: %s", code, flat(problem))
	}
	return nil
}
