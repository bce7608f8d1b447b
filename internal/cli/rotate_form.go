package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"charm.land/huh/v2"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// form asks at the terminal.
type form struct {
	env   Env
	typed *typed // at env.Stdin
	in    answers
}

// run asks one question after the other. A person who leaves with Ctrl-C stops the
// command, never the rotation, and so does a terminal that is gone.
func (f *form) run(ctx context.Context, fields ...huh.Field) error {
	groups := make([]*huh.Group, 0, len(fields))
	for _, field := range fields {
		groups = append(groups, huh.NewGroup(field))
	}
	// WithAccessible, because huh alone goes by the process's own TERM.
	in := f.typed.listen()
	defer close(in.over)
	asked := huh.NewForm(groups...).WithInput(in).WithOutput(f.env.Stdout).WithAccessible(false).WithShowHelp(true)
	err := asked.RunWithContext(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // huh calls it a timeout
	case err == nil && asked.State == huh.StateCompleted:
		return nil
	case err == nil, errors.Is(err, huh.ErrUserAborted): // a signal ends a form without an error, and without an answer
		return errStop
	}
	return fmt.Errorf("ask at the terminal: %w", errors.Join(errStop, err))
}

func (f *form) gate(ctx context.Context, o rotation.Overview) (rotation.GoOn, string, error) {
	in := rotation.GoOn{Trigger: trigger(o, f.in.trigger), Reason: f.in.reason, TestOrder: f.in.testOrder}
	gate := o.Gate()
	choice := choiceGoOn
	options := []huh.Option[string]{huh.NewOption("Go on: every question is asked now, nothing after the click", choiceGoOn)}
	if gate.Failed > 0 {
		options = append(options, huh.NewOption("Check again what failed", choiceAgain))
	}
	if !o.Rotation.Clicked() {
		options = append(options, huh.NewOption("Cancel the rotation", choiceCancel))
	}
	options = append(options, huh.NewOption("Stop here; the rotation waits", choiceStop))
	title := fmt.Sprintf("Step 1: %d ready, %d not provable without writing, %d failed", gate.Ready, gate.Unproven, gate.Failed)
	if err := f.run(ctx, huh.NewSelect[string]().Title(title).Options(options...).Value(&choice)); err != nil {
		return in, "", err
	}
	switch choice {
	case choiceStop:
		return in, "", errStop
	case choiceAgain:
		return in, choice, nil
	case choiceCancel:
		why, err := f.text(ctx, "Why is it cancelled?", "It goes into the record.")
		in.Reason = why
		return in, choice, err
	}
	return f.questions(ctx, o, in)
}

// questions asks everything that step 1 asks (R8–R18).
func (f *form) questions(ctx context.Context, o rotation.Overview, in rotation.GoOn) (rotation.GoOn, string, error) {
	fields := []huh.Field{}
	var why []huh.Option[rotation.Trigger]
	for _, t := range rotation.Triggers() {
		why = append(why, huh.NewOption(rotation.TriggerText(t), t))
	}
	fields = append(fields,
		huh.NewSelect[rotation.Trigger]().Title("Why").Options(why...).Value(&in.Trigger),
		huh.NewInput().Title("Reason").Description("Needed for everything but a scheduled rotation. It goes into the record.").Value(&in.Reason).
			Validate(func(text string) error {
				if in.Trigger != rotation.TriggerScheduled && strings.TrimSpace(text) == "" {
					return errors.New("say why: it is part of the record")
				}
				return nil
			}))
	var ticks []huh.Option[string]
	for _, p := range rotation.Prerequisites() {
		ticks = append(ticks, huh.NewOption(p.Text, p.Name))
	}
	fields = append(fields, huh.NewMultiSelect[string]().Title("Confirm each").Description(strings.Join(rotation.Text(rotation.StepPrecheck).Warn, " ")).
		Options(ticks...).Value(&in.Ticks).Validate(func(chosen []string) error {
		if len(chosen) < len(ticks) {
			return errors.New("confirm each: space marks one, ctrl+a marks all")
		}
		return nil
	}))
	if o.Order != nil {
		fields = append(fields, huh.NewConfirm().Title(fmt.Sprintf("Place the test order in step 6 (%s %s %s, paper)?", o.Order.Side, o.Order.Qty, o.Order.Symbol)).Value(&in.TestOrder))
	}
	if in.Pass = failedChecks(o); len(in.Pass) > 0 && o.Rotation.FirstRejected.IsZero() {
		fields = append(fields, huh.NewInput().Title("Why do you go on although "+strings.Join(in.Pass, ", ")+" failed?").
			Description("It is recorded as a deviation.").Value(&in.PassWhy))
	}
	err := f.run(ctx, fields...) // it fills in, so not in one statement with it
	return in, choiceGoOn, err
}

func (f *form) pair(ctx context.Context) (rotation.Pair, error) {
	var keyID, key string
	if f.in.pairFile != "" {
		var ok bool
		err := f.run(ctx, huh.NewConfirm().Title("Is the new pair in "+f.in.pairFile+"?").Affirmative("Yes, read it").Negative("Stop here").Value(&ok))
		if err == nil && !ok {
			err = errStop
		}
		if err != nil {
			return rotation.Pair{}, err
		}
		return readPair(ctx, f.env, f.in.pairFile)
	}
	err := f.run(ctx,
		huh.NewInput().Title("Key ID").Description("Begins with PK.").CharLimit(pairMax).Validate(huh.ValidateNotEmpty()).Value(&keyID),
		huh.NewInput().Title("Secret key").Description("Shown once by Alpaca. Keep the dashboard tab open until you see ✔ sealed.").
			EchoMode(huh.EchoModePassword).CharLimit(pairMax).Value(&key))
	return rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(key)}, err
}

func (f *form) offer(ctx context.Context, _ rotation.Overview, offers []rotation.Offer) (*rotation.Offer, string, string, error) {
	const wait, stop = -1, -2
	var choice int
	options := make([]huh.Option[int], 0, len(offers)+2)
	for i, o := range offers {
		options = append(options, huh.NewOption(offerText(o), i))
	}
	options = append(options, huh.NewOption("Wait: the bot goes on by itself where it can", wait), huh.NewOption("Stop here; the rotation waits", stop))
	if err := f.run(ctx, huh.NewSelect[int]().Title("What now?").Options(options...).Value(&choice)); err != nil {
		return nil, "", "", err
	}
	switch choice {
	case wait:
		return nil, "", "", nil
	case stop:
		return nil, "", "", errStop
	}
	o := offers[choice]
	var why, last4 string
	var err error
	switch o.What {
	case rotation.PressAccept, rotation.PressStoreAnyway, rotation.PressStoreLater:
		why, err = f.text(ctx, "Why?", "It goes into the record.")
	case rotation.PressAdopt:
		if why, err = f.text(ctx, "Why is this the right account?", "It goes into the record."); err == nil {
			last4, err = f.text(ctx, "Last four characters of the account's number", "Look at it in the dashboard.")
		}
	case rotation.PressRegenerate:
		ok := false
		err = f.run(ctx, huh.NewConfirm().Title("Generating again kills the pair in use at once. Go back to step 2?").Value(&ok))
		if err == nil && !ok {
			return nil, "", "", nil
		}
	}
	return &o, why, last4, err
}

func (f *form) text(ctx context.Context, title, hint string) (string, error) {
	text := f.in.reason
	err := f.run(ctx, huh.NewInput().Title(title).Description(hint).Validate(huh.ValidateNotEmpty()).Value(&text))
	return text, err
}

func (f *form) confirm(ctx context.Context, title string) (bool, error) {
	var yes bool
	err := f.run(ctx, huh.NewConfirm().Title(title).Value(&yes))
	return yes, err
}
