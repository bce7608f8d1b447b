package modals

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// An Ask is what somebody answered in the view of [AskWhy].
type Ask struct {
	Action string // the act's action ID: [AcceptAction] and so on
	Bind   Bind   // what the button was bound to
	Why    string
	Last4  string // of the account's number, with AdoptAction
}

// An askWords is how an act and the view that asks why are called.
type askWords struct {
	label  string // of the button that shows the view
	title  string
	submit string
}

// askText returns the words of an act; zero for one that asks nothing.
func askText(action string) askWords {
	switch action {
	case AcceptAction:
		return askWords{"Accept with a reason", "Accept with a reason", "Accept"}
	case StoreAnywayAction:
		return askWords{"Store anyway", "Store anyway", "Store anyway"}
	case StoreLaterAction:
		return askWords{"Propagate now, store later", "Propagate now", "Propagate now"}
	case AdoptAction:
		return askWords{"Adopt account", "Adopt account", "Adopt account"}
	}
	return askWords{}
}

// AskWhy returns the view that says what an act means and asks for the reason,
// which becomes part of the record. It reports false if the act is not offered
// as the rotation stands: then the press is late.
func AskWhy(o rotation.Overview, action string, b Bind) (slack.ModalViewRequest, bool) {
	words := askText(action)
	metadata := action + "|" + b.String()
	if words.title == "" || !Offered(o, action, b) || utf8.RuneCountInString(metadata) > maxMetadata {
		return slack.ModalViewRequest{}, false
	}
	p := &page{left: 1}
	s := o.Rotation.Step(b.Step)
	switch action {
	case AcceptAction:
		p.askAccept(o, s, *s.Item(b.Item))
	case StoreAnywayAction:
		p.text(p.problem(s.Problem))
		p.text("*If you store it anyway:* the pair goes to Infisical and to every consumer now. Trading stays down until Alpaca lifts the block; then it works without another step. The old pair is dead, so nothing better is left.")
	case StoreLaterAction:
		p.text(p.problem(s.Problem))
		p.text("*If you propagate now:* the consumers get the pair that is sealed here, so trading can go on. The bot keeps trying to store it, and the rotation cannot close before Infisical holds it.")
		p.text("⚠️ Until then the only copy besides the consumers' is sealed in the bot's state file. Whoever starts a consumer from Infisical gets the dead pair.")
	case AdoptAction:
		p.askAdopt(o, s)
		last4 := slack.NewPlainTextInputBlockElement(nil, textAction)
		last4.MaxLength = 4
		p.add(slack.NewInputBlock(Last4Block, plain(Last4Label, maxLabel), plain("Of the new account's number, as the dashboard's switcher shows it.", maxLabel), last4))
	}
	why := slack.NewPlainTextInputBlockElement(nil, textAction)
	why.MaxLength = reasonMax
	p.add(slack.NewInputBlock(WhyBlock, plain(WhyLabel, maxLabel), plain("It goes into the record, with your name.", maxLabel), why))
	v := view(o, AskCallback, p)
	v.PrivateMetadata = metadata // identifiers, never a value (R86)
	v.Title = plain(words.title, maxTitle)
	v.Submit = plain(words.submit, maxTitle)
	v.Close = plain("Back", maxTitle)
	return v, true
}

// askAccept says what it means to accept an item.
func (p *page) askAccept(o rotation.Overview, s *rotation.Step, it rotation.Item) {
	p.text("❌ *" + p.esc(human(it), nameMax) + "*" + p.detail(it))
	p.text(p.problem(it.Problem))
	switch {
	case it.Kind == "test_order":
		order := "whatever was placed"
		if t := o.Rotation.Order; t != nil && t.ID != "" {
			order = "order `" + p.esc(t.ID, nameMax) + "`"
		}
		where := "Look at <" + rotation.PaperOrdersURL + "|the paper orders> and clean up there by hand."
		if maybeLive(it) {
			where = "It may be on the *LIVE* book: look there first, then at <" + rotation.PaperOrdersURL + "|the paper orders>, and cancel or sell it where it is."
		}
		p.text("*If you accept it:* the bot leaves " + order + " as it is. " + where)
	case s.Name == rotation.StepPropagate:
		p.text("*If you accept it:* it counts as done *without the new pair*. It fails until somebody gives it the pair from Infisical.")
	default:
		p.text("*If you accept it:* it has the new pair, but nobody has seen it work.")
	}
}

// maybeLive reports whether the test order may be in the LIVE book.
func maybeLive(it rotation.Item) bool {
	return it.Problem.Reason == rotation.ReasonNotOnPaper || it.Problem.Reason == rotation.ReasonOrderUnknown
}

// askAdopt shows the new account and what is lost with the old one.
func (p *page) askAdopt(o rotation.Overview, s *rotation.Step) {
	acc := candidate(o.Rotation).Account
	p.text(p.problem(s.Problem))
	facts := []rotation.Fact{{Label: "New account number", Value: acc.Number}, {Label: "Status", Value: acc.Status}}
	if !acc.CreatedAt.IsZero() {
		facts = append(facts, rotation.Fact{Label: "Created", Value: moment(acc.CreatedAt)})
	}
	snap := o.Rotation.Snapshot
	if snap != nil {
		facts = append(facts, rotation.Fact{Label: "Account before", Value: snap.Account.Number})
	}
	p.fields(facts)
	if snap == nil {
		p.text("There is no snapshot of an account before, so what is lost is not known.")
	} else {
		p.lines(p.lostWith(*snap)...)
	}
	p.text("*If you adopt it:* from now on this account is the right one. Its pair is stored and handed to every consumer, and later rotations are compared with it.")
}

// lostWith lists what stood in the account before, and does not stand in
// another one.
func (p *page) lostWith(snap rotation.Snapshot) []string {
	lines := []string{fmt.Sprintf("*Lost with the account before* (snapshot of %s):", moment(snap.At))}
	if worth := strings.TrimSpace(cmp.Or(snap.Account.Equity, snap.Account.Cash) + " " + snap.Account.Currency); worth != "" {
		lines = append(lines, "• simulated equity "+p.esc(worth, nameMax))
	}
	for _, h := range snap.Survey.Positions {
		lines = append(lines, "• position "+p.esc(h.Qty+" "+h.Symbol, nameMax))
	}
	for _, t := range snap.Survey.OpenOrders {
		lines = append(lines, "• open order "+p.esc(strings.TrimSpace(t.Side+" "+t.Qty+" "+t.Symbol), nameMax))
	}
	if len(snap.Survey.Positions)+len(snap.Survey.OpenOrders) == 0 {
		lines = append(lines, "• no position and no open order")
	}
	return append(lines, "• its history")
}

// errAsk means that a view's metadata was not made by this program.
var errAsk = errors.New("not a question of ours")

// ParseAsk reads the submitted view of [AskWhy]. A non-empty problems maps
// block IDs to texts, the form of Slack's "errors" answer. Whether the act can
// still be done is not decided here.
func ParseAsk(metadata string, state *slack.ViewState) (ask Ask, problems map[string]string, err error) {
	action, bound, _ := strings.Cut(metadata, "|")
	if askText(action).title == "" {
		return Ask{}, nil, errAsk
	}
	b, err := ParseBind(bound)
	if err != nil {
		return Ask{}, nil, fmt.Errorf("%w: %w", errAsk, err)
	}
	ask = Ask{Action: action, Bind: b, Why: written(state, WhyBlock)}
	problems = map[string]string{}
	if keyLike(ask.Why) {
		ask.Why, problems[WhyBlock] = "", keyLikeProblem
	} else if ask.Why == "" {
		problems[WhyBlock] = "Write one sentence: it becomes part of the record."
	}
	if action != AdoptAction {
		return ask, problems, nil
	}
	ask.Last4 = cut(clean(value(state, Last4Block, textAction).Value), 8)
	if utf8.RuneCountInString(ask.Last4) != 4 {
		problems[Last4Block] = "Type exactly the last four characters of the new account's number."
	}
	return ask, problems, nil
}

// AskProblems turns the reason and text of a refusal by the engine into a
// problem by block ID, under the input that it is about.
func AskProblems(reason, text string) map[string]string {
	if reason == "wrong_last4" {
		return map[string]string{Last4Block: cut(clean(text), problemMax)}
	}
	return map[string]string{WhyBlock: cut(clean(text), problemMax)}
}
