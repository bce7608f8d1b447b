package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// What an operator looks for on the screen.
const (
	command      = "/rotate-alpaca-paper"
	goOnButton   = "Go on"
	keyIDLabel   = "Key ID"
	secretLabel  = "Secret key"
	whyLabel     = "Why"
	whyChoice    = "Scheduled: the key is due"
	deadChoice   = "Account was reset or key is dead"
	reasonLabel  = "Reason"
	orderLabel   = "Test order"
	orderChoice  = "Place the test order"
	accountLabel = "Account to choose"
	overPrefix   = "# Rotated"
	updated      = "Updated"
	checkboxes   = "checkboxes"
)

// An Operator is a scripted person. It sees what Slack shows, types and presses,
// and generates keys in the dashboard; it knows nothing of the bot's insides.
type Operator struct {
	Slack     *slacksim.Workspace // only what people can do there
	Dashboard *alpacasim.Sim      // likewise
	User      string
	KeySet    string            // that is rotated; "" means KeySet
	Name      string            // as Say has it: "@ada"
	Say       func(line string) // told what happens, as it happens

	view string          // header of the view that was last told about
	said map[string]bool // lines of it
}

// Rotate walks through a whole rotation and returns the pair that it generated.
// It ends when the screen says that the rotation is over. The error is what
// stood in the way: a refusal, or what the screen showed when ctx ended.
func (o *Operator) Rotate(ctx context.Context) (alpacasim.Key, error) {
	if err := o.begin(ctx); err != nil {
		return alpacasim.Key{}, err
	}
	if err := o.goOn(ctx); err != nil {
		return alpacasim.Key{}, err
	}
	key, err := o.dashboard(ctx)
	if err != nil {
		return key, err
	}
	return key, o.paste(ctx, key)
}

// begin types the command.
func (o *Operator) begin(ctx context.Context) error {
	keyset := cmp.Or(o.KeySet, KeySet)
	o.Say(o.Name + " types " + command + " " + keyset + " in #ops")
	got, err := o.Slack.Command(ctx, o.User, OpsChannel, command, keyset)
	switch {
	case err != nil:
		return fmt.Errorf("type the command: %w", err)
	case got.Err != "":
		return errors.New("slack answered the command: " + got.Err)
	case got.Reply != nil:
		return errors.New("the bot answered the command: " + flat(got.Reply.Visible()))
	}
	return nil
}

// goOn waits for the checks of step 1, answers every question and leaves it.
func (o *Operator) goOn(ctx context.Context) error { return o.goOnBecause(ctx, whyChoice, "") }

// goOnBecause is goOn with another answer to why the rotation runs, and the
// reason that it needs.
func (o *Operator) goOnBecause(ctx context.Context, choice, reason string) error {
	v, err := o.wait(ctx, func(v slacksim.View) bool { return v.Submit == goOnButton && hasResult(v.Text()) })
	if err != nil {
		return err
	}
	slack := o.Slack
	err = slack.Select(ctx, o.User, whyLabel, choice)
	if err == nil && reason != "" {
		err = slack.Type(ctx, o.User, reasonLabel, reason)
	}
	ticked := 0
	for _, in := range v.Inputs {
		if err != nil {
			return fmt.Errorf("answer the questions: %w", err)
		}
		switch {
		case in.Type == checkboxes && !in.Optional:
			ticked += len(in.Options)
			err = slack.Check(ctx, o.User, in.BlockID, texts(in.Options)...)
		case in.Label == orderLabel:
			err = slack.Select(ctx, o.User, in.BlockID, orderChoice)
		}
	}
	if err != nil {
		return fmt.Errorf("answer the questions: %w", err)
	}
	o.Say(fmt.Sprintf("%s chooses %q, ticks %d prerequisites, chooses the test order, presses %s", o.Name, choice, ticked, goOnButton))
	return o.submit(ctx)
}

// dashboard waits for step 2 and generates a new pair for the account that it
// names.
func (o *Operator) dashboard(ctx context.Context) (alpacasim.Key, error) {
	account, err := o.account(ctx)
	if err != nil {
		return alpacasim.Key{}, err
	}
	return o.generate(account)
}

// paste submits the new pair and follows the view until the rotation is over.
func (o *Operator) paste(ctx context.Context, key alpacasim.Key) error {
	if err := o.seal(ctx, key); err != nil {
		return err
	}
	return o.finished(ctx)
}

// submit presses the submit button of the view in front.
func (o *Operator) submit(ctx context.Context) error {
	got, err := o.Slack.Submit(ctx, o.User)
	switch {
	case err != nil:
		return fmt.Errorf("submit: %w", err)
	case got.Trouble != "":
		return errors.New("slack showed: " + got.Trouble)
	case len(got.Errors) > 0:
		return errors.New("the view was not accepted: " + strings.Join(slices.Sorted(maps.Values(got.Errors)), " "))
	}
	return nil
}

// wait follows the modal until ok, and tells what it shows. The error says what
// was on the screen last.
func (o *Operator) wait(ctx context.Context, ok func(slacksim.View) bool) (slacksim.View, error) {
	var last string
	v, err := o.Slack.WaitModal(ctx, o.User, func(v slacksim.View) bool {
		last = plain(v.Text())
		o.tell(last)
		return ok(v)
	})
	if err != nil {
		return v, fmt.Errorf("%w; the screen shows: %s", context.Cause(ctx), flat(last))
	}
	return v, nil
}

// tell says what is new on the screen: the step, and each line that carries a
// result.
func (o *Operator) tell(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if header, ok := strings.CutPrefix(line, "# "); ok && header != o.view {
			o.view, o.said = header, map[string]bool{}
			o.Say(header)
		}
		if o.said[line] || !isResult(line) || o.view == "" {
			continue
		}
		o.said[line] = true
		o.Say("  " + line)
	}
}

func hasResult(text string) bool {
	return slices.ContainsFunc(strings.Split(text, "\n"), isResult)
}

// isResult reports whether a line of a view says how something stands, and is
// not the strip of the eight steps.
func isResult(line string) bool {
	for _, mark := range []string{
		"✅", "❔", "❌", "🔴", "✔", "⚠️ Why you are here again:", "What happened:", "What to do:", "The bot:", "Already done:", "Waiting for", "Exposed time",
	} {
		if strings.HasPrefix(line, mark) {
			return !strings.Contains(line, "8 Record")
		}
	}
	return false
}

// Acknowledge has a developer press Updated in their direct message, if there
// is one that asks for it.
func (w *World) Acknowledge(ctx context.Context, user string) error {
	dm, ok := w.Slack.DM(user)
	if !ok {
		return errors.New("there is no direct message")
	}
	asks := func(m slacksim.Message) bool {
		return slices.ContainsFunc(m.Buttons(), func(b slacksim.Button) bool { return b.Text == updated })
	}
	m, err := w.Slack.WaitMessage(ctx, dm, asks)
	if err != nil {
		return fmt.Errorf("wait for a message with the button %s: %w", updated, err)
	}
	got, err := w.Slack.PressMessage(ctx, user, dm, m.TS, updated)
	if err != nil {
		return fmt.Errorf("press %s: %w", updated, err)
	}
	if got.Err != "" {
		return errors.New("slack showed: " + got.Err)
	}
	_, err = w.Slack.WaitMessage(ctx, dm, func(now slacksim.Message) bool { return now.TS == m.TS && !asks(now) })
	if err != nil {
		return fmt.Errorf("wait until the message is changed: %w", err)
	}
	return nil
}

// after returns the rest of the line on which label stands.
func after(text, label string) string {
	_, rest, _ := strings.Cut(text, label)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

func texts(options []slacksim.Option) []string {
	list := make([]string, len(options))
	for i, o := range options {
		list[i] = o.Text
	}
	return list
}

// fieldLabel finds the label of a field, which stands in bold above its value.
var fieldLabel = regexp.MustCompile(`(?m)^\*([^*\n]+?):?\*\n`)

// plain returns text as it looks on the screen: bold and code have no marks
// around them, and a field's label stands before its value.
func plain(text string) string {
	return strings.NewReplacer("*", "", "`", "").Replace(fieldLabel.ReplaceAllString(text, "$1: "))
}

// flat returns text on one line, and not all of it.
func flat(text string) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) > 400 {
		return string(line[:400]) + "…"
	}
	return string(line)
}
