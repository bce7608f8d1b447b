package cli

import (
	"context"
	"errors"
	"os"

	"github.com/raxx-app/keyturn/internal/rotation"
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
	if in.pairFile == "-" && isTerminal(env.Stdin) {
		return nil, errors.New("--pair-file - reads a pipe; at a terminal leave it out and the pair is typed masked")
	}
	switch {
	case in.yes && in.pairFile == "":
		return nil, errors.New("with --yes the pair must come from --pair-file")
	case in.yes:
		return &flags{env: env, in: in}, nil
	case !isTerminal(env.Stdin):
		return nil, errors.New("standard input is no terminal: " + withoutForms)
	case !isTerminal(env.Stdout):
		return nil, errors.New("standard output is no terminal: " + withoutForms)
	case env.Getenv("TERM") == "dumb":
		return nil, errors.New("this terminal (TERM=dumb) cannot show forms: " + withoutForms)
	}
	return &form{env: env, typed: &typed{tty: env.Stdin.(*os.File)}, in: in}, nil // isTerminal has looked
}

const withoutForms = "give --yes and --pair-file, and with them the answers (--trigger, --reason, --test-order)"

// isTerminal reports whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
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
