package app_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Texts that people look for on the screen.
const (
	command    = "/rotate-alpaca-paper"
	goOn       = "Go on"
	keyID      = "Key ID"
	secretKey  = "Secret key"
	cancelIt   = "Cancel rotation"
	rotated    = "# Rotated"
	waitsText  = "Slack has not said"
	checkboxes = "checkboxes"
)

// stepHeader is the header of the view of step n.
func stepHeader(n int) string { return "# Step " + string(rune('0'+n)) + " of 8" }

// A person sees what Slack shows, types and presses. It knows nothing of the
// bot's insides.
type person struct {
	*world
	id string
}

func (p person) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// command types the slash command. In the moments in which the bot may not know
// yet who is who, it is typed again, as the answer asks for.
func (p person) command(channel, text string) slacksim.CommandResult {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	for {
		got, err := p.slack.Command(ctx, p.id, channel, command, text)
		if err != nil {
			p.t.Fatalf("%s types %s %s: %v", p.id, command, text, err)
		}
		if got.Reply == nil || !strings.Contains(got.Reply.Visible(), waitsText) {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// see waits until the modal shows all texts, and returns it.
func (p person) see(texts ...string) slacksim.View {
	p.t.Helper()
	return p.seeThat(strings.Join(texts, " | "), func(v slacksim.View) bool { return shows(v.Text(), texts...) })
}

func (p person) seeThat(what string, ok func(slacksim.View) bool) slacksim.View {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	v, err := p.slack.WaitModal(ctx, p.id, ok)
	if err != nil {
		last, _ := p.slack.Modal(p.id)
		p.t.Fatalf("%s does not see %q: %v\nthe screen shows:\n%s\nlog:\n%s", p.id, what, err, last.Text(), p.log)
	}
	return v
}

// screen returns the modal as it is now.
func (p person) screen() slacksim.View {
	p.t.Helper()
	v, ok := p.slack.Modal(p.id)
	if !ok {
		p.t.Fatalf("%s has no modal open", p.id)
	}
	return v
}

func shows(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

func (p person) typeIn(field, text string) {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	if err := p.slack.Type(ctx, p.id, field, text); err != nil {
		p.t.Fatalf("%s types into %s: %v", p.id, field, err)
	}
}

func (p person) choose(field string, options ...string) {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	if err := p.slack.Select(ctx, p.id, field, options...); err != nil {
		p.t.Fatalf("%s chooses %q in %s: %v", p.id, options, field, err)
	}
}

func (p person) submit() slacksim.SubmitResult {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	got, err := p.slack.Submit(ctx, p.id)
	if err != nil || got.Trouble != "" {
		p.t.Fatalf("%s submits: %v %s\nlog:\n%s", p.id, err, got.Trouble, p.log)
	}
	return got
}

// press presses a button of the modal.
func (p person) press(button string, value ...string) {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	got, err := p.slack.Press(ctx, p.id, button, value...)
	if err != nil || got.Err != "" {
		p.t.Fatalf("%s presses %s: %v %s", p.id, button, err, got.Err)
	}
}

// pressIn presses a button of a message.
func (p person) pressIn(m slacksim.Message, button string) {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	var value []string // of several with that text, the first
	if same := slices.DeleteFunc(m.Buttons(), func(b slacksim.Button) bool { return b.Text != button }); len(same) > 1 {
		value = []string{same[0].Value}
	}
	got, err := p.slack.PressMessage(ctx, p.id, m.Channel, m.TS, button, value...)
	if err != nil || got.Err != "" {
		p.t.Fatalf("%s presses %s: %v %s", p.id, button, err, got.Err)
	}
}

// closeModal presses the X.
func (p person) closeModal() {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	p.must(p.slack.CloseModal(ctx, p.id, true))
}

// checked waits until every check of step 1 has been made.
func (p person) checked() slacksim.View {
	p.t.Helper()
	return p.seeThat("all checks made", func(v slacksim.View) bool {
		text := v.Text()
		return v.Submit == goOn && strings.Contains(text, " ready") && !strings.Contains(text, "still running")
	})
}

// begin types the command and waits for the checks of step 1.
func (p person) begin(keyset string) slacksim.View {
	p.t.Helper()
	if got := p.command(opsChannel, keyset); got.Err != "" || got.Reply != nil {
		p.t.Fatalf("%s %s was answered: %+v", command, keyset, got)
	}
	return p.checked()
}

// answer answers every question of step 1.
func (p person) answer(order bool) {
	p.t.Helper()
	ctx, cancel := p.ctx()
	defer cancel()
	p.choose("Why", "Scheduled: the key is due")
	for _, in := range p.screen().Inputs {
		switch {
		case in.Type == checkboxes && !in.Optional:
			for _, o := range in.Options {
				p.must(p.slack.Check(ctx, p.id, in.BlockID, o.Value))
			}
		case in.Label == "Test order" && order:
			p.choose(in.BlockID, "Place the test order")
		case in.Label == "Test order":
			p.choose(in.BlockID, "Place no order")
		}
	}
}

// goOn answers every question and leaves step 1.
func (p person) goOn(order bool) slacksim.View {
	p.t.Helper()
	p.answer(order)
	if got := p.submit(); len(got.Errors) > 0 {
		p.t.Fatalf("step 1 is not accepted: %v", got.Errors)
	}
	return p.see(stepHeader(2))
}

// toStepTwo does everything before the click.
func (p person) toStepTwo() slacksim.View {
	p.t.Helper()
	p.begin("prod")
	return p.goOn(true)
}

// toStepTwoOnce does everything before the click, and returns when the bot has
// looked at the old pair in step 2 for the first time.
func (p person) toStepTwoOnce() {
	p.t.Helper()
	p.begin("prod")
	probes := p.alpaca.Count("GET", "/v2/account")
	p.goOn(true)
	p.until("the old pair was looked at in step 2", func() bool { return p.alpaca.Count("GET", "/v2/account") > probes })
}

// generate presses Regenerate in Alpaca's dashboard, for prod's account.
func (p person) generate() alpacasim.Key {
	p.t.Helper()
	key, err := p.alpaca.Regenerate(p.account["prod"])
	p.must(err)
	return key
}

// paste fills both fields and submits.
func (p person) paste(id, secret string) slacksim.SubmitResult {
	p.t.Helper()
	p.typeIn(keyID, id)
	p.typeIn(secretKey, secret)
	return p.submit()
}

// finish pastes a pair that must be accepted and waits for the end.
func (p person) finish(key alpacasim.Key) {
	p.t.Helper()
	if got := p.paste(key.ID, key.Secret); len(got.Errors) > 0 {
		p.t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	p.see(rotated)
}

// rotate does a whole rotation of prod.
func (p person) rotate() {
	p.t.Helper()
	p.toStepTwo()
	p.finish(p.generate())
}

// opsMessage waits until a rotation's message in the ops channel shows all texts.
func (w *world) opsMessage(texts ...string) slacksim.Message {
	w.t.Helper()
	return w.message(opsChannel, "", texts...)
}

// whisper waits for an ephemeral message to the person with all texts.
func (p person) whisper(texts ...string) {
	p.t.Helper()
	p.message(opsChannel, p.id, texts...)
}

func (w *world) message(channel, only string, texts ...string) slacksim.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := w.slack.WaitMessage(ctx, channel, func(m slacksim.Message) bool {
		return m.EphemeralFor == only && shows(m.Visible(), texts...)
	})
	if err != nil {
		var all []string
		for _, m := range w.slack.Messages(channel) {
			all = append(all, m.Visible())
		}
		w.t.Fatalf("no message with %q in %s for %q; there is:\n%s\nlog:\n%s", texts, channel, only, strings.Join(all, "\n---\n"), w.log)
	}
	return m
}
