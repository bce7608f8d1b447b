package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/huh/v2"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// What can be done at the gate beside going on.
const (
	choiceGoOn   = "go_on"
	choiceAgain  = "check_again"
	choiceCancel = "cancel"
	choiceStop   = "stop"
)

// An asker asks the person, or answers in their place. Its methods return
// errStop if the person wants to stop, or cannot be asked.
type asker interface {
	gate(ctx context.Context, o rotation.Overview) (in rotation.GoOn, choice string, err error)
	pair(ctx context.Context) (rotation.Pair, error)
	// offer returns nil if the person wants to wait.
	offer(ctx context.Context, o rotation.Overview, offers []rotation.Offer) (choice *rotation.Offer, why, last4 string, err error)
	text(ctx context.Context, title, hint string) (string, error)
	confirm(ctx context.Context, title string) (bool, error)
}

// newAsker returns who answers. Without a terminal only the flags can.
func newAsker(env Env, in answers) (asker, error) {
	if in.yes {
		if in.pairFile == "" {
			return nil, errors.New("with --yes the pair must come from --pair-file")
		}
		return &flags{env: env, in: in}, nil
	}
	if !isTerminal(env.Stdin) {
		return nil, errors.New("standard input is no terminal: give --yes and --pair-file, and with them the answers (--trigger, --reason, --test-order)")
	}
	if in.pairFile == "-" {
		return nil, errors.New("--pair-file - reads a pipe; at a terminal leave it out and the pair is typed masked")
	}
	return &form{env: env, in: in}, nil
}

// isTerminal reports whether somebody can type there.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// flags answer what rotate was called with.
type flags struct {
	env    Env
	in     answers
	pasted bool
}

func (f *flags) gate(_ context.Context, o rotation.Overview) (rotation.GoOn, string, error) {
	in := rotation.GoOn{Trigger: trigger(o, f.in.trigger), Reason: f.in.reason, TestOrder: f.in.testOrder}
	for _, p := range rotation.Prerequisites() {
		in.Ticks = append(in.Ticks, p.Name)
	}
	if f.in.pass {
		in.Pass, in.PassWhy = failedChecks(o), f.in.reason
	}
	return in, choiceGoOn, nil
}

func (f *flags) pair(context.Context) (rotation.Pair, error) {
	if f.pasted {
		return rotation.Pair{}, errStop // the pipe held one pair, and that was not the right one
	}
	f.pasted = true
	first, second, err := readPair(f.env, f.in.pairFile)
	return rotation.Pair{KeyID: secret.New(first), Secret: secret.New(second)}, err
}

func (f *flags) offer(context.Context, rotation.Overview, []rotation.Offer) (*rotation.Offer, string, string, error) {
	return nil, "", "", errStop
}

func (f *flags) text(context.Context, string, string) (string, error) {
	if f.in.reason == "" {
		fmt.Fprintln(f.env.Stdout, "Give it with --reason.")
		return "", errStop
	}
	return f.in.reason, nil
}

func (*flags) confirm(context.Context, string) (bool, error) { return true, nil }

// trigger is why the rotation runs, unless the person says something else.
func trigger(o rotation.Overview, said string) rotation.Trigger {
	r := &o.Rotation
	switch {
	case said != "":
		return rotation.Trigger(said)
	case !r.FirstRejected.IsZero():
		return rotation.TriggerReset
	case r.Trigger != "":
		return r.Trigger
	}
	return rotation.TriggerScheduled
}

// form asks at the terminal.
type form struct {
	env Env
	in  answers
}

// run asks one question after the other. A person who leaves with Ctrl-C stops the
// command, never the rotation.
func (f *form) run(ctx context.Context, fields ...huh.Field) error {
	groups := make([]*huh.Group, 0, len(fields))
	for _, field := range fields {
		groups = append(groups, huh.NewGroup(field))
	}
	err := huh.NewForm(groups...).WithInput(f.env.Stdin).WithOutput(f.env.Stdout).
		WithAccessible(f.env.Getenv("TERM") == "dumb").WithShowHelp(true).RunWithContext(ctx)
	if errors.Is(err, huh.ErrUserAborted) || err != nil && ctx.Err() == nil && errors.Is(err, io.EOF) {
		return errStop
	}
	return err
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
	return in, choiceGoOn, f.run(ctx, fields...)
}

// failedChecks names the checks of step 1 that failed.
func failedChecks(o rotation.Overview) []string {
	var names []string
	for _, it := range o.Rotation.Step(rotation.StepPrecheck).Items {
		if it.State == rotation.Failed {
			names = append(names, it.Name)
		}
	}
	return names
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
		keyID, key, err = readPair(f.env, f.in.pairFile)
		return rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(key)}, err
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

// offerText says what an act does.
func offerText(o rotation.Offer) string {
	about := ""
	if o.Item != "" {
		about = " " + o.Item
	}
	switch o.What {
	case rotation.PressRetry:
		if o.Item == "" {
			return "Retry step: " + rotation.Text(o.Step).Title
		}
		return "Retry" + about
	case rotation.PressAccept:
		return "Accept" + about + " with a reason: it counts as done without proof"
	case rotation.PressRedo:
		return "Redo store, propagate, verify with the live pair"
	case rotation.PressRegenerate:
		return "Paste another pair: back to step 2"
	case rotation.PressStoreAnyway:
		return "Store anyway, although the account cannot trade"
	case rotation.PressStoreLater:
		return "Propagate now, store later"
	case rotation.PressAdopt:
		return "Adopt account: it is the right one"
	case rotation.PressUseFor:
		return "Use this pair for" + about
	}
	return o.What + about
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
