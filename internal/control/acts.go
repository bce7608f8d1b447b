package control

import (
	"context"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A Request is one act of a person at a terminal. It never holds a pair: that is
// what [Client.Paste] is for. Which fields an act needs is in the table of
// [doers]; the others are ignored.
type Request struct {
	Act      commands.Act      `json:"act"`
	KeySet   string            `json:"keyset,omitempty"`   // without a rotation: what to open one for; use_for: where the pair belongs
	Rotation rotation.ID       `json:"rotation,omitempty"` // what it is about
	Step     rotation.StepName `json:"step,omitempty"`     // that was shown
	Round    int               `json:"round,omitempty"`    // of that step: a late press is told who did it before
	Item     string            `json:"item,omitempty"`     // check or consumer
	Why      string            `json:"why,omitempty"`      // part of the record
	Last4    string            `json:"last4,omitempty"`    // of the account's number, typed
	What     string            `json:"what,omitempty"`     // it_was_me: regenerated, reset
	GoOn     *rotation.GoOn    `json:"go_on,omitempty"`
	// Reason is why somebody acts for whom nobody can vouch (break-glass). It is
	// needed if [About.Person] is empty, and if Slack does not say who is in ops.
	Reason string `json:"reason,omitempty"`
}

// An Answer is what an act led to.
type Answer struct {
	Rotation rotation.ID       `json:"rotation"`           // that the act was about, or that it opened
	New      bool              `json:"new,omitempty"`      // it was opened now
	Problems map[string]string `json:"problems,omitempty"` // texts by field of GoOn; nothing was changed then
}

// A Pasted is what became of a pair.
type Pasted struct {
	Problems  map[string]string  `json:"problems,omitempty"` // texts by field; nothing was sealed then
	Warning   string             `json:"warning,omitempty"`  // unusual, but sealed
	Candidate rotation.Candidate `json:"candidate,omitzero"` // what holds the pair
	Again     bool               `json:"again,omitempty"`    // the same pair was sealed before
}

// Acts is what people can do about rotations; [rotation.Engine] does it. It is
// one interface because one thing implements it and one table calls it.
type Acts interface {
	Start(ctx context.Context, by rotation.Actor, keyset string) (rotation.ID, bool, error)
	Reset(ctx context.Context, by rotation.Actor, keyset, why string) (rotation.ID, bool, error)
	AdoptByHand(ctx context.Context, by rotation.Actor, keyset, consumer, why string) (rotation.ID, error)
	Visited(ctx context.Context, by rotation.Actor, id rotation.ID) error
	GoOn(ctx context.Context, by rotation.Actor, id rotation.ID, in rotation.GoOn) (map[string]string, error)
	Paste(ctx context.Context, by rotation.Actor, id rotation.ID, keyID, secretKey secret.Text) (rotation.Paste, error)
	Retry(ctx context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int, item string) error
	Regenerate(ctx context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int) error
	Redo(ctx context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int) error
	Accept(ctx context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int, item, why string) error
	StoreAnyway(ctx context.Context, by rotation.Actor, id rotation.ID, round int, why string) error
	StoreLaterNow(ctx context.Context, by rotation.Actor, id rotation.ID, round int, why string) error
	Adopt(ctx context.Context, by rotation.Actor, id rotation.ID, round int, last4, why string) error
	UseFor(ctx context.Context, by rotation.Actor, id rotation.ID, keyset string) (rotation.ID, error)
	ItWasMe(ctx context.Context, by rotation.Actor, id rotation.ID, what string) error
	TakeOver(ctx context.Context, by rotation.Actor, id rotation.ID) error
	Cancel(ctx context.Context, by rotation.Actor, id rotation.ID, why string) error
	Note(ctx context.Context, row rotation.Row) error
}

var _ Acts = (*rotation.Engine)(nil)

// A doer does one act.
type doer func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error)

// doers is the table of what a terminal can ask for.
func doers() map[commands.Act]doer {
	return map[commands.Act]doer{
		commands.ActStart: func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
			id, fresh, err := e.Start(ctx, by, in.KeySet)
			return Answer{Rotation: id, New: fresh}, err
		},
		commands.ActReset: func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
			id, fresh, err := e.Reset(ctx, by, in.KeySet, in.Why)
			return Answer{Rotation: id, New: fresh}, err
		},
		commands.ActAdoptByHand: func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
			id, err := e.AdoptByHand(ctx, by, in.KeySet, in.Item, in.Why)
			return Answer{Rotation: id}, err
		},
		commands.ActUseFor: func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
			id, err := e.UseFor(ctx, by, in.Rotation, in.KeySet)
			return Answer{Rotation: id}, err
		},
		commands.ActGoOn: func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
			if in.GoOn == nil {
				return Answer{}, badRequest("go_on without its answers")
			}
			problems, err := e.GoOn(ctx, by, in.Rotation, *in.GoOn)
			return Answer{Rotation: in.Rotation, Problems: problems}, err
		},
		commands.ActOpen: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Visited(ctx, by, in.Rotation)
		}),
		commands.ActRetry: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Retry(ctx, by, in.Rotation, in.Step, in.Round, in.Item)
		}),
		commands.ActRegenerate: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Regenerate(ctx, by, in.Rotation, in.Step, in.Round)
		}),
		commands.ActRedo: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Redo(ctx, by, in.Rotation, in.Step, in.Round)
		}),
		commands.ActAccept: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Accept(ctx, by, in.Rotation, in.Step, in.Round, in.Item, in.Why)
		}),
		commands.ActStoreAnyway: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.StoreAnyway(ctx, by, in.Rotation, in.Round, in.Why)
		}),
		commands.ActStoreLater: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.StoreLaterNow(ctx, by, in.Rotation, in.Round, in.Why)
		}),
		commands.ActAdopt: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Adopt(ctx, by, in.Rotation, in.Round, in.Last4, in.Why)
		}),
		commands.ActItWasMe: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.ItWasMe(ctx, by, in.Rotation, in.What)
		}),
		commands.ActTakeOver: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.TakeOver(ctx, by, in.Rotation)
		}),
		commands.ActCancel: plain(func(ctx context.Context, e Acts, by rotation.Actor, in Request) error {
			return e.Cancel(ctx, by, in.Rotation, in.Why)
		}),
	}
}

// plain makes a doer of what is about one rotation and answers with nothing.
func plain(f func(context.Context, Acts, rotation.Actor, Request) error) doer {
	return func(ctx context.Context, e Acts, by rotation.Actor, in Request) (Answer, error) {
		return Answer{Rotation: in.Rotation}, f(ctx, e, by, in)
	}
}

// aboutKeySet reports whether the act is about a key set, and not a rotation.
func (r Request) aboutKeySet() bool {
	return slices.Contains([]commands.Act{commands.ActStart, commands.ActReset, commands.ActAdoptByHand}, r.Act)
}

// check finds what no engine needs to be asked about.
func (r Request) check() error {
	about := r.Rotation != ""
	if r.aboutKeySet() {
		about = r.KeySet != ""
	}
	if !about {
		return badRequest("it does not say what it is about")
	}
	texts := []string{r.Why, r.Reason}
	if r.GoOn != nil {
		texts = append(texts, r.GoOn.Reason, r.GoOn.PassWhy)
	}
	if slices.ContainsFunc(texts, secret.KeyLike) {
		return keyLikeError()
	}
	if slices.ContainsFunc(texts, tooLong) {
		return tooLongError()
	}
	return nil
}

// textMax is how long a reason may be, in characters, as in Slack's inputs: it
// goes into a message there, and into a row that nobody can shorten.
const textMax = 500

func tooLong(text string) bool { return utf8.RuneCountInString(text) > textMax }

func tooLongError() error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "reason_too_long", Op: "control.act",
		User: "A reason may have " + strconv.Itoa(textMax) + " characters at most.", Fix: "Say it in one sentence.",
	}
}

func badRequest(what string) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "bad_request", Op: "control.act",
		User: "The bot does not understand what was asked: " + what + ".",
		Fix:  "If the program and the running bot are of different versions, restart the bot.",
	}
}

// keyLikeError stops what cannot be taken back out of the record (R43).
func keyLikeError() error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "key_in_reason", Op: "control.act",
		User: "This reason looks like a key. Reasons go into the channel and the record, where nothing can be taken back.",
		Fix:  "Leave it out.",
	}
}
