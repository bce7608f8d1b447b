package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Buttons that an operator presses when something went wrong.
const (
	retryButton  = "Retry"
	cancelButton = "Cancel rotation"
	openButton   = "Open"
	adoptButton  = "Adopt account"
	acceptButton = "Accept with a reason"
	laterButton  = "Propagate now, store later"
	useForButton = "Use this pair for "

	storeAnywayButton = "Store anyway"
	takeOverButton    = "Take over"
	redoButton        = "Redo store, propagate, verify"
)

// Fields of the view that asks why.
const (
	whyField   = "Why?"
	last4Field = "Last four characters"
)

// see waits until the screen shows all of texts.
func (o *Operator) see(ctx context.Context, texts ...string) error {
	_, err := o.wait(ctx, func(v slacksim.View) bool { return hasAll(plain(v.Text()), texts) })
	if err != nil {
		return fmt.Errorf("look for %q: %w", texts, err)
	}
	return nil
}

// press waits for a button and presses it. item is the consumer or check beside
// which it stands; "" is the step itself.
func (o *Operator) press(ctx context.Context, button, item string) error {
	var found slacksim.Button
	if _, err := o.wait(ctx, func(v slacksim.View) bool {
		i := slices.IndexFunc(v.Buttons, func(b slacksim.Button) bool {
			return b.Text == button && strings.HasSuffix(b.Value, "|"+item)
		})
		if i >= 0 {
			found = v.Buttons[i]
		}
		return i >= 0
	}); err != nil {
		return fmt.Errorf("look for the button %s: %w", button, err)
	}
	at := ""
	if item != "" {
		at = " beside " + item
	}
	o.Say(o.Name + " presses " + button + at)
	got, err := o.Slack.Press(ctx, o.User, button, found.Value)
	switch {
	case err != nil:
		return fmt.Errorf("press %s: %w", button, err)
	case got.Err != "":
		return errors.New("slack showed: " + got.Err)
	}
	return nil
}

// open presses Open below the rotation's message in #ops.
func (o *Operator) open(ctx context.Context) error { return o.pressInOps(ctx, openButton) }

// pressInOps waits until a message in #ops has a button, and presses it.
func (o *Operator) pressInOps(ctx context.Context, button string) error {
	m, err := o.Slack.WaitMessage(ctx, OpsChannel, func(m slacksim.Message) bool {
		return slices.ContainsFunc(m.Buttons(), func(b slacksim.Button) bool { return b.Text == button })
	})
	if err != nil {
		return fmt.Errorf("look for %s in #ops: %w", button, context.Cause(ctx))
	}
	o.Say(o.Name + " presses " + button + " in #ops")
	got, err := o.Slack.PressMessage(ctx, o.User, OpsChannel, m.TS, button)
	switch {
	case err != nil:
		return fmt.Errorf("press %s: %w", button, err)
	case got.Err != "":
		return errors.New("slack showed: " + got.Err)
	}
	return nil
}

// account waits for step 2 and returns the number of the account that it names.
func (o *Operator) account(ctx context.Context) (string, error) {
	v, err := o.wait(ctx, func(v slacksim.View) bool {
		_, id := v.Input(keyIDLabel)
		_, secret := v.Input(secretLabel)
		return id && secret
	})
	return after(plain(v.Text()), accountLabel+": "), err
}

// generate makes a new pair for an account, as a person would in Alpaca's
// dashboard.
func (o *Operator) generate(account string) (alpacasim.Key, error) {
	key, err := o.Dashboard.Regenerate(account)
	if err != nil {
		return key, fmt.Errorf("generate keys for the account %q: %w", account, err)
	}
	o.Say(o.Name + " presses Regenerate in Alpaca's dashboard for account " + account + ": a new pair is shown once, the one before it ends")
	return key, nil
}

// enter types a pair into the two fields.
func (o *Operator) enter(ctx context.Context, key alpacasim.Key) error {
	err := o.Slack.Type(ctx, o.User, keyIDLabel, key.ID)
	if err == nil {
		err = o.Slack.Type(ctx, o.User, secretLabel, key.Secret)
	}
	if err != nil {
		return fmt.Errorf("paste the pair: %w", err)
	}
	return nil
}

// seal pastes a pair and submits it.
func (o *Operator) seal(ctx context.Context, key alpacasim.Key) error {
	if err := o.enter(ctx, key); err != nil {
		return err
	}
	o.Say(o.Name + " pastes the new pair, once, and submits")
	return o.submit(ctx)
}

// refused pastes a pair that must be refused under its field, with says.
func (o *Operator) refused(ctx context.Context, key alpacasim.Key, what, says string) error {
	if err := o.enter(ctx, key); err != nil {
		return err
	}
	o.Say(o.Name + " pastes " + what + " and submits")
	got, err := o.Slack.Submit(ctx, o.User)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	shown := strings.Join(slices.Sorted(maps.Values(got.Errors)), " ")
	if !strings.Contains(shown, says) {
		return fmt.Errorf("under the fields stands %q, want %q; closed %t, trouble %q", shown, says, got.Closed, got.Trouble)
	}
	o.Say("  under the field: " + shown)
	return nil
}

// finished follows the view until it says that the rotation is over.
func (o *Operator) finished(ctx context.Context) error {
	_, err := o.wait(ctx, func(v slacksim.View) bool { return strings.Contains(v.Text(), "\n"+overPrefix) })
	return err
}

// cancel ends the rotation before the click.
func (o *Operator) cancel(ctx context.Context, why string) error {
	if err := o.press(ctx, cancelButton, ""); err != nil {
		return err
	}
	if err := o.form(ctx, cancelButton, map[string]string{"Why is it cancelled?": why}); err != nil {
		return err
	}
	return o.Slack.WaitClosed(ctx, o.User)
}

// form waits for the view with the given submit button, fills its fields by
// label, and submits it.
func (o *Operator) form(ctx context.Context, button string, fields map[string]string) error {
	labels := slices.Sorted(maps.Keys(fields))
	if _, err := o.wait(ctx, func(v slacksim.View) bool {
		for _, label := range labels {
			if _, ok := v.Input(label); !ok {
				return false
			}
		}
		return v.Submit == button
	}); err != nil {
		return fmt.Errorf("look for the form %q: %w", button, err)
	}
	for _, label := range labels {
		if err := o.Slack.Type(ctx, o.User, label, fields[label]); err != nil {
			return fmt.Errorf("fill in %q: %w", label, err)
		}
		o.Say(fmt.Sprintf("%s writes under %q: %s", o.Name, label, fields[label]))
	}
	o.Say(o.Name + " presses " + button)
	return o.submit(ctx)
}
