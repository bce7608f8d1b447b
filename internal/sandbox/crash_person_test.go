package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// How long a person looks at a screen on which nothing happens before they close
// it and open it again: one on which nothing was ever shown, and any other. Only
// the first kind may be dead, so the second is for a machine that stands still.
const (
	patienceFirst = 4 * time.Second
	patience      = 30 * time.Second
)

// empty reports whether a screen shows no more than that the bot has begun.
func empty(text string) bool { return strings.Contains(text, "# Step 1 of 8") && !hasResult(text) }

func patienceWith(text string) time.Duration {
	if empty(text) {
		return patienceFirst
	}
	return patience
}

// A person is somebody who rotates a key with a bot that dies now and then.
// They look at the screen and do what it asks for; where Slack says that
// something did not work they try it again, and where the screen is dead they
// close it and press Open in the channel. They generate once, and remember
// whether they were told that the pair is sealed.
type person struct {
	w    *World
	said *strings.Builder

	key      alpacasim.Key // zero until generated
	sealed   bool          // they were told so
	typed    int           // commands
	carried  int           // submissions that held the pair
	late     int           // times that the screen asked for a sealed pair for a moment
	reopened int           // views that were dead
	stuckAt  []string      // what those said
	asked    int           // times that they were asked about the test order
	life     int           // of the bot, from 1 on
	screens  map[string]screen
	outlived map[string]bool // screens, by view ID, that a later bot than the one that opened them changed
	opened   int             // screens that Open brought, in a message of an earlier bot
	posted   map[string]int  // life in which a message was first seen, by its ts
	closes   bool            // they close the screen when the bot has died, and press Open in the message of before
	misled   []string        // screens and messages that said that nobody has to do anything while one was asked to
}

// newPerson returns one of those who close the screen when the bot has died, or
// of those who do not.
func newPerson(w *World) *person {
	return &person{
		w: w, said: &strings.Builder{}, closes: rand.IntN(3) == 0,
		screens: map[string]screen{}, outlived: map[string]bool{}, posted: map[string]int{},
	}
}

// A screen is a view as it was seen last.
type screen struct {
	life int // of the bot when it was first seen
	hash string
}

// born says that another bot runs. The message of before is what is left to who
// closes the screen.
func (p *person) born(ctx context.Context, life int) {
	if life == p.life {
		return
	}
	first := p.life == 0
	p.life = life
	if _, open := p.w.Slack.Modal(Ada); first || !p.closes || !open {
		return
	}
	m, ok := p.message()
	if _, can := buttonOf(m, "Open"); !ok || !can {
		return
	}
	p.say("closes the screen of before the crash")
	if err := p.w.Slack.CloseModal(ctx, Ada, true); err != nil {
		p.say("could not close: %v", err)
	}
}

// notice remembers what is on the screen.
func (p *person) notice(v slacksim.View) {
	before, known := p.screens[v.ID]
	if !known {
		p.screens[v.ID] = screen{p.life, v.Hash}
		return
	}
	if before.hash != v.Hash && before.life < p.life {
		p.outlived[v.ID] = true
	}
	p.screens[v.ID] = screen{before.life, v.Hash}
}

func (p *person) say(format string, args ...any) {
	fmt.Fprintf(p.said, time.Now().Format("05.000")+" "+format+"\n", args...)
}

// step does one thing. It returns true when the screen says that the rotation is
// over. ctx ends with the bot's life.
func (p *person) step(ctx context.Context) (over bool, err error) {
	v, ok := p.w.Slack.Modal(Ada)
	text := plain(v.Text())
	if ok {
		p.notice(v)
	}
	p.honest(text)
	if m, posted := p.message(); posted {
		p.honest(m.Visible())
		if _, known := p.posted[m.TS]; !known {
			p.posted[m.TS] = p.life
		}
	}
	switch {
	case !ok && p.summarised():
		return true, nil
	case !ok:
		return false, p.enter(ctx)
	case v.Busy:
		return false, p.watch(ctx, v)
	case strings.Contains(v.Text(), "\n"+overPrefix):
		return true, nil
	case strings.Contains(text, "taken in already"):
		p.say("closes: %s", flat(text))
		return false, p.w.Slack.CloseModal(ctx, Ada, true)
	case v.Submit == goOnButton:
		return false, p.goOn(ctx, v)
	case hasKeyFields(v):
		return false, p.paste(ctx, v)
	case len(v.Inputs) == 1 && v.Submit != "":
		return false, p.explain(ctx, v)
	case strings.Contains(text, orderUnknown):
		p.asked++
		return false, p.accept(ctx, v)
	}
	return false, p.watch(ctx, v)
}

// orderUnknown is what the screen says when the bot died just before it sent the
// test order: nobody can know, and it is not sent again.
const orderUnknown = "it is not known whether it was placed"

// honest notes a text that asks for a person and says that it does not.
func (p *person) honest(text string) {
	if strings.Contains(text, orderUnknown) && strings.Contains(text, "Nobody has to do anything") {
		p.misled = append(p.misled, flat(text))
	}
}

// accept presses the button that lets the test order pass.
func (p *person) accept(ctx context.Context, v slacksim.View) error {
	i := slices.IndexFunc(v.Buttons, func(b slacksim.Button) bool {
		return b.Text == "Accept with a reason" && strings.HasSuffix(b.Value, "|test_order")
	})
	if i < 0 {
		return p.watch(ctx, v)
	}
	p.say("accepts: the order was not placed")
	if _, err := p.w.Slack.Press(ctx, Ada, v.Buttons[i].Text, v.Buttons[i].Value); err != nil {
		return err
	}
	return p.watch(ctx, v)
}

// explain fills in the form in which a reason is asked for.
func (p *person) explain(ctx context.Context, v slacksim.View) error {
	if err := p.w.Slack.Type(ctx, Ada, v.Inputs[0].BlockID, "Looked at both dashboards, no such order"); err != nil {
		p.say("could not write: %v", err)
		return nil
	}
	got, err := p.w.Slack.Submit(ctx, Ada)
	p.say("presses %s and sees %q %v %v", v.Submit, got.Trouble, got.Errors, err)
	if err != nil || got.Trouble == "" && len(got.Errors) == 0 {
		below, _ := p.w.Slack.Modal(Ada)
		return errors.Join(err, p.watch(ctx, below))
	}
	return p.watch(ctx, v)
}

func hasKeyFields(v slacksim.View) bool {
	_, id := v.Input(keyIDLabel)
	_, secret := v.Input(secretLabel)
	return id && secret
}

// enter gets a screen: with Open in the channel, else with the command.
func (p *person) enter(ctx context.Context) error {
	if m, ok := p.message(); ok {
		if _, ok := buttonOf(m, "Open"); ok {
			p.say("presses Open")
			if _, err := p.w.Slack.PressMessage(ctx, Ada, OpsChannel, m.TS, "Open"); err != nil {
				return err
			}
			posted, known := p.posted[m.TS]
			err := p.appears(ctx)
			if _, open := p.w.Slack.Modal(Ada); open && known && posted < p.life {
				p.opened++
			}
			return err
		}
	}
	p.typed++
	p.say("types the command")
	if _, err := p.w.Slack.Command(ctx, Ada, OpsChannel, command, KeySet); err != nil {
		return err
	}
	return p.appears(ctx)
}

// summarised reports whether the channel says that the rotation is over.
func (p *person) summarised() bool { return p.anchor() != "" }

// anchor returns what the channel says of the audit record's end; "" if it says
// nothing yet. It need not be in the newest message: what a killed bot sent may
// arrive after what its successor posted once more, and stays as it is.
func (p *person) anchor() string {
	for _, m := range p.messages() {
		if found := anchorText.FindStringSubmatch(m.Visible()); found != nil {
			return found[1]
		}
	}
	return ""
}

// appears waits a moment for the screen to come.
func (p *person) appears(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err := p.w.Slack.WaitModal(ctx, Ada, func(slacksim.View) bool { return true })
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// message is the newest message of the bot in the channel.
func (p *person) message() (slacksim.Message, bool) {
	list := p.messages()
	if len(list) == 0 {
		return slacksim.Message{}, false
	}
	return list[len(list)-1], true
}

func (p *person) messages() []slacksim.Message {
	return slices.DeleteFunc(p.w.Slack.Messages(OpsChannel), func(m slacksim.Message) bool {
		return m.EphemeralFor != "" || m.User == Ada || m.User == Bob || !strings.Contains(m.Visible(), firstStep) // notes come there too
	})
}

// firstStep stands in the message of a rotation, and in no note.
const firstStep = "1 Pre-rotation checks"

func buttonOf(m slacksim.Message, text string) (slacksim.Button, bool) {
	list := m.Buttons()
	i := slices.IndexFunc(list, func(b slacksim.Button) bool { return b.Text == text })
	if i < 0 {
		return slacksim.Button{}, false
	}
	return list[i], true
}

// goOn answers the questions of step 1 and submits.
func (p *person) goOn(ctx context.Context, v slacksim.View) error {
	if !hasResult(v.Text()) {
		return p.watch(ctx, v)
	}
	err := p.w.Slack.Select(ctx, Ada, whyLabel, whyChoice)
	for _, in := range v.Inputs {
		switch {
		case err != nil:
		case in.Type == checkboxes && !in.Optional:
			err = p.w.Slack.Check(ctx, Ada, in.BlockID, texts(in.Options)...)
		case in.Label == orderLabel:
			err = p.w.Slack.Select(ctx, Ada, in.BlockID, orderChoice)
		}
	}
	if err != nil {
		p.say("could not answer: %v", err) // the view was redrawn meanwhile
		return nil
	}
	p.say("presses Go on")
	got, err := p.w.Slack.Submit(ctx, Ada)
	if err != nil {
		return err
	}
	if got.Trouble != "" || len(got.Errors) > 0 {
		p.say("saw %q %v", got.Trouble, got.Errors)
		return p.watch(ctx, v)
	}
	return nil
}

// paste generates, if that was not done, and submits the pair.
func (p *person) paste(ctx context.Context, v slacksim.View) error {
	if p.sealed { // a drawing that was under way when they submitted may come in late, and must not stay
		p.late++
		return p.still(ctx, v)
	}
	if p.key.ID == "" {
		account := after(plain(v.Text()), accountLabel+": ")
		var err error
		if p.key, err = p.w.Alpaca.Regenerate(account); err != nil {
			return fmt.Errorf("generate for %q: %w", account, err)
		}
		p.say("generates for %s", account)
	}
	got, err := p.submit(ctx)
	switch {
	case err != nil && !errors.Is(err, errNotTyped):
		return err
	case err != nil, got.Trouble != "", len(got.Errors) > 0:
		return p.watch(ctx, v)
	}
	return nil
}

// errNotTyped is returned when the fields went away before the pair was typed.
var errNotTyped = errors.New("not typed")

// submit types the pair and submits it.
func (p *person) submit(ctx context.Context) (slacksim.SubmitResult, error) {
	err := p.w.Slack.Type(ctx, Ada, keyIDLabel, p.key.ID)
	if err == nil {
		err = p.w.Slack.Type(ctx, Ada, secretLabel, p.key.Secret)
	}
	if err != nil {
		return slacksim.SubmitResult{}, fmt.Errorf("%w: %w", errNotTyped, err)
	}
	before := p.submissions()
	got, err := p.w.Slack.Submit(ctx, Ada)
	p.carried += min(1, p.submissions()-before) // none if no socket was up any more
	now, open := p.w.Slack.Modal(Ada)
	p.say("submits the pair and sees %q %v %v %s", got.Trouble, got.Errors, err, flat(plain(now.Text())))
	if err == nil && got.Trouble == "" && len(got.Errors) == 0 && !got.Closed && open && !hasKeyFields(now) {
		p.sealed = true
	}
	return got, err
}

// submissions returns how many submitted views Slack has sent to the bots.
func (p *person) submissions() int {
	n := 0
	for _, e := range p.w.Slack.Sent() {
		if e.Method == "view_submission" {
			n++
		}
	}
	return n
}

// still waits until the screen that asks for a pair is gone. Nobody pastes a
// pair again that is sealed.
func (p *person) still(ctx context.Context, v slacksim.View) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := p.w.Slack.WaitModal(limited, Ada, func(now slacksim.View) bool { return !hasKeyFields(now) })
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s", errAskedAgain, flat(plain(v.Text())))
	}
	return err
}

// errAskedAgain is returned when a pair is asked for that was sealed before.
var errAskedAgain = errors.New("the pair is asked for again although it was sealed")

// watch waits until the screen changes. A dead screen is closed.
func (p *person) watch(ctx context.Context, v slacksim.View) error {
	limited, cancel := context.WithTimeout(ctx, patienceWith(v.Text()))
	defer cancel()
	_, err := p.w.Slack.WaitModal(limited, Ada, func(now slacksim.View) bool {
		return now.ID != v.ID || now.Hash != v.Hash || now.Busy != v.Busy || now.Trouble != v.Trouble
	})
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	p.reopened++
	p.stuckAt = append(p.stuckAt, plain(v.Text()))
	p.say("closes a dead screen: %s", flat(plain(v.Text())))
	return p.w.Slack.CloseModal(ctx, Ada, true)
}

// acknowledge has a developer press Updated in the newest message that asks for
// it. It returns true if none does any more, and one did once.
func (p *person) acknowledge(ctx context.Context, user string) (bool, error) {
	dm, ok := p.w.Slack.DM(user)
	if !ok {
		return false, nil
	}
	list := p.w.Slack.Messages(dm)
	for _, m := range slices.Backward(list) {
		if !strings.Contains(m.Text, rotatedText) {
			continue
		}
		b, ok := buttonOf(m, updated)
		if !ok {
			return len(m.Buttons()) == 0, nil
		}
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := p.w.Slack.PressMessage(limited, user, dm, m.TS, b.Text); err != nil {
			return false, nil // the bot is gone: they press again
		}
		_, err := p.w.Slack.WaitMessage(limited, dm, func(now slacksim.Message) bool {
			_, still := buttonOf(now, updated)
			return now.TS == m.TS && !still
		})
		return err == nil, nil // pressed again
	}
	return false, nil
}
