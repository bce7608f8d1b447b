package modals

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// snoozeLimitDays is how many days after the due date reminders can be put off
// to. The view only says so: who puts them off decides.
const snoozeLimitDays = 14

// snoozeDays are the days by which reminders can be put off.
func snoozeDays() []int { return []int{1, 3, 7} }

// A SnoozeAsk is what somebody answered in the view of [Snooze].
type SnoozeAsk struct {
	Bind Bind            // what the button was bound to
	At   rotation.Posted // the message in which it stood; zero: none
	Days int             // 1, 3 or 7
	Why  string
}

// errNoteAsk means that a view's metadata was not made by this program.
var errNoteAsk = errors.New("not a question of ours")

// metadataOf is what a view that was opened from a note must know: the message,
// and what its button was bound to. They are identifiers, never values (R86).
func metadataOf(b Bind, at rotation.Posted) string {
	return at.Channel + "|" + at.TS + "|" + b.String()
}

func parseMetadata(metadata string) (Bind, rotation.Posted, error) {
	parts := strings.SplitN(metadata, "|", 3)
	if len(parts) != 3 {
		return Bind{}, rotation.Posted{}, errNoteAsk
	}
	b, err := ParseBind(parts[2])
	if err != nil {
		return Bind{}, rotation.Posted{}, fmt.Errorf("%w: %w", errNoteAsk, err)
	}
	return b, rotation.Posted{Channel: parts[0], TS: parts[1]}, nil
}

// Snooze returns the view that asks for how long the reminders of a key set are
// put off, and why.
func Snooze(b Bind, at rotation.Posted) slack.ModalViewRequest {
	p := &page{}
	text := "The reminders of *" + p.esc(b.KeySet, nameMax) + "* are put off for everybody."
	if due, err := time.Parse(time.DateOnly, b.Due()); err == nil {
		text += " *The due date does not move: " + day(due) + ".* They can be put off until " + day(due.AddDate(0, 0, snoozeLimitDays)) + fmt.Sprintf(" at most, %d days overdue.", snoozeLimitDays)
	} else {
		text += fmt.Sprintf(" *The due date does not move.* They can be put off until %d days overdue at most.", snoozeLimitDays)
	}
	p.text(text)
	in := slack.NewRadioButtonsBlockElement(choiceAction)
	for _, d := range snoozeDays() {
		in.Options = append(in.Options, slack.NewOptionBlockObject(strconv.Itoa(d), plain(count(d, "day", "days"), maxOptionText), nil))
	}
	in.InitialOption = in.Options[0]
	p.add(slack.NewInputBlock(SnoozeDaysBlock, plain("For how long?", maxLabel), nil, in), whyInput(SnoozeWhyBlock))
	return noteView(SnoozeCallback, "Snooze", SnoozeSubmit, metadataOf(b, at), p)
}

// noteView is the frame of a view that a note's button opens.
func noteView(callback, title, submit, metadata string, p *page) slack.ModalViewRequest {
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: callback, PrivateMetadata: metadata,
		Title: plain(title, maxTitle), Submit: plain(submit, maxTitle), Close: plain("Not now", maxTitle),
		Blocks: slack.Blocks{BlockSet: p.blocks},
	}
}

func whyInput(block string) *slack.InputBlock {
	why := slack.NewPlainTextInputBlockElement(nil, textAction)
	why.MaxLength = reasonMax
	return slack.NewInputBlock(block, plain(WhyLabel, maxLabel), plain("It goes into the record, with your name.", maxLabel), why)
}

// parseWhy reads a reason that the record needs, and the problem with it.
func parseWhy(state *slack.ViewState, block string) (why, problem string) {
	why = written(state, block)
	switch {
	case keyLike(why):
		return "", keyLikeProblem
	case why == "":
		return "", "Write one sentence: it becomes part of the record."
	}
	return why, ""
}

// ParseSnooze reads the submitted view of [Snooze]. A non-empty problems maps
// block IDs to texts, the form of Slack's "errors" answer.
func ParseSnooze(metadata string, state *slack.ViewState) (ask SnoozeAsk, problems map[string]string, err error) {
	if ask.Bind, ask.At, err = parseMetadata(metadata); err != nil {
		return SnoozeAsk{}, nil, err
	}
	problems = map[string]string{}
	days, err := strconv.Atoi(value(state, SnoozeDaysBlock, choiceAction).SelectedOption.Value)
	if ask.Days = days; err != nil || !slices.Contains(snoozeDays(), days) {
		ask.Days, problems[SnoozeDaysBlock] = 0, "Choose for how long."
	}
	var problem string
	if ask.Why, problem = parseWhy(state, SnoozeWhyBlock); problem != "" {
		problems[SnoozeWhyBlock] = problem
	}
	return ask, problems, nil
}

// SnoozeProblems turns a refusal into a problem by block ID, under the input
// that it is about.
func SnoozeProblems(reason, text string) map[string]string {
	block := SnoozeWhyBlock
	if reason == "snooze_too_long" || reason == "bad_snooze" {
		block = SnoozeDaysBlock
	}
	return map[string]string{block: cut(clean(text), problemMax)}
}
