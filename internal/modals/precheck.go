package modals

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Precheck returns the view of step 1: what the procedure is (R1, R2), the
// warning about resets (R12, R13), what the checks say, and every question
// there is, so that nothing is asked after the click.
//
// The questions are there from the first check on and keep their block IDs, so
// what is typed survives every update. While a check is running the submit
// button says so; a submission then is refused by the gate and answered with
// [PrecheckProblems]. A forced rotation is never held up: its button says "Go on" at once.
func Precheck(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepPrecheck)
	p.sop(o)
	t := rotation.Text(rotation.StepPrecheck)
	if forced(o.Rotation) {
		p.alert(slack.AlertLevelError, forcedText(o.Rotation))
		p.text(p.why(o))
	}
	p.text(bullets("⚠️", t.Warn))
	lead := t.Lead
	if !o.Rotation.FirstRejected.IsZero() { // the outage has begun
		lead = "The bot tries now everything that can fail later. This step changes nothing."
	}
	p.text(escape(lead, maxText))
	p.trouble(o, s)
	p.text("*" + gateLine(o) + "*")
	p.text(p.already(o))
	p.items(o, s)
	p.snapshot(o)
	p.text(marketLine(o))
	p.precheckButtons(o, s)
	p.add(slack.NewDividerBlock())
	p.questions(o, s)
	p.add(slack.NewDividerBlock())
	p.text(numbered(t.Do))
	p.small(bullets("•", t.Gotchas))
	p.small(links(t.Links))
	v := view(o, PrecheckCallback, p)
	v.Submit = plain(GoOnSubmit, maxTitle)
	if o.Gate().Open > 0 && !forced(o.Rotation) {
		v.Submit = plain(CheckingSubmit, maxTitle)
	}
	return v
}

// Loading returns the view that is opened at once, while the rotation is still
// being looked up (R86).
func Loading(keyset string) slack.ModalViewRequest {
	o := rotation.Overview{Past: rotation.Record{KeySet: keyset}}
	p := &page{}
	p.header(stepTitle(1, rotation.Text(rotation.StepPrecheck).Title))
	p.text("Checking…")
	p.small("If nothing comes, close this and press *Open* in the ops channel.") // a bot that is killed now does not know of this view
	p.sop(o)
	return view(o, LoadingCallback, p)
}

// sop shows the head of the procedure and whether it is old (R1, R2).
func (p *page) sop(o rotation.Overview) {
	h := rotation.SOPHead()
	p.small(escape(fmt.Sprintf("%s · %s · role %s · %d min on average · last validated %s UTC, method %s: %s",
		h.Title, h.Mode, h.Role, h.AverageMinutes, h.Validated, h.Method, h.MethodNote), maxText))
	if o.Now.IsZero() {
		return
	}
	if stale := rotation.Stale(o.Now, o.Past.Completed); stale != "" {
		p.alert(slack.AlertLevelWarning, stale)
	}
}

// forced reports whether nothing may hold the rotation up.
func forced(r rotation.Rotation) bool {
	return r.Trigger == rotation.TriggerReset || !r.FirstRejected.IsZero()
}

func forcedText(r rotation.Rotation) string {
	if r.FirstRejected.IsZero() {
		return "The account was reset or the key is dead. Nothing below holds you up: press Go on."
	}
	if doubted(r) {
		return "The current pair is rejected since " + clock(r.FirstRejected) + ". If it stays so, trading is down. Nothing below holds you up: press Go on."
	}
	return "The current pair is rejected since " + clock(r.FirstRejected) + ": trading is down. Nothing below holds you up: press Go on."
}

// gateLine sums up the checks: "11 ready, 3 not provable without writing (last
// proven 24 Apr 2026), 0 failed".
func gateLine(o rotation.Overview) string {
	n := o.Gate()
	parts := []string{fmt.Sprintf("%d ready", n.Ready)}
	if n.Unproven > 0 {
		parts = append(parts, fmt.Sprintf("%d not provable without writing (%s)", n.Unproven, lastProven(o)))
	}
	if n.Passed > 0 {
		parts = append(parts, fmt.Sprintf("%d let pass", n.Passed))
	}
	parts = append(parts, fmt.Sprintf("%d failed", n.Failed))
	if n.Open > 0 {
		parts = append(parts, fmt.Sprintf("%d still running", n.Open))
	}
	return strings.Join(parts, ", ")
}

// lastProven says when the consumers that cannot be proven by reading last
// took a write: the oldest of those days, since that is the weakest proof.
func lastProven(o rotation.Overview) string {
	var oldest time.Time
	for _, it := range o.Rotation.Step(rotation.StepPrecheck).Items {
		if it.Level != rotation.Unproven || it.State != rotation.Done {
			continue
		}
		at := provenAt(o.Past, it)
		if at.IsZero() {
			return "some were never written"
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if oldest.IsZero() {
		return "never written"
	}
	return "last proven " + day(oldest)
}

// snapshot shows the account before the click (R18, R22, R23).
func (p *page) snapshot(o rotation.Overview) {
	s := o.Rotation.Snapshot
	if s == nil {
		return
	}
	p.fields([]rotation.Fact{
		{Label: "Account number", Value: s.Account.Number},
		{Label: "Status", Value: s.Account.Status},
		{Label: "Simulated cash", Value: strings.TrimSpace(s.Account.Cash + " " + s.Account.Currency)},
		{Label: "Equity", Value: s.Account.Equity},
		{Label: "Current key", Value: last4(o.Rotation.OldLast4)},
		{Label: "Infisical versions", Value: versions(o.Rotation.OldBefore)}, // R16
		{Label: "Snapshot taken", Value: moment(s.At)},
	})
}

// marketLine says what the click costs now. It never blocks.
func marketLine(o rotation.Overview) string {
	s := o.Rotation.Snapshot
	if s == nil {
		return ""
	}
	held := count(len(s.Survey.Positions), "position", "positions") + ", " + count(len(s.Survey.OpenOrders), "open order", "open orders") + "."
	if !s.Survey.MarketOpen {
		line := "🌙 *Market closed: good moment.* "
		if !s.Survey.NextOpen.IsZero() {
			line = "🌙 *Market closed: good moment.* It opens " + moment(s.Survey.NextOpen) + ". "
		}
		return line + held
	}
	if !o.Rotation.FirstRejected.IsZero() {
		return "🔔 *Market OPEN: trading fails already*, until the last consumer is verified. " + held
	}
	if len(o.Past.Exposed) == 0 {
		return "🔔 *Market OPEN: trading fails* from the click until the last consumer is verified. " + held
	}
	all := slices.Sorted(slices.Values(o.Past.Exposed))
	which := fmt.Sprintf("your last %d", len(all))
	if words := []string{"", "your last one", "your last two", "your last three", "your last four", "your last five"}; len(all) < len(words) {
		which = words[len(all)]
	}
	return fmt.Sprintf("🔔 *Market OPEN: trading fails for about %s* (%s). %s", took(millis(all[len(all)/2])), which, held)
}

func (p *page) precheckButtons(o rotation.Overview, s *rotation.Step) {
	row := checkAgain(o, s)
	if b := button(CancelAction, CancelSubmit, bindTo(o, s, "")); b != nil && !o.Rotation.Clicked() {
		row = append(row, b)
	}
	p.buttons(buttonsBlock, row...)
}

// checkAgain returns the button that does the failed checks again, if any failed.
func checkAgain(o rotation.Overview, s *rotation.Step) []slack.BlockElement {
	b := button(CheckAgainAction, "Check again", bindTo(o, s, ""))
	if o.Gate().Failed == 0 || b == nil {
		return nil
	}
	return []slack.BlockElement{b}
}

// questions adds every input of step 1.
func (p *page) questions(o rotation.Overview, s *rotation.Step) {
	why := cmp.Or(o.Rotation.Trigger, rotation.TriggerScheduled)
	if forced(o.Rotation) {
		why = rotation.TriggerReset
	}
	p.add(triggerInput(why), reasonInput(o.Rotation.Reason), ticksInput())
	if o.Order != nil {
		p.text(orderText(p, *o.Order))
		p.add(orderInput())
	}
	if !forced(o.Rotation) {
		p.passInputs(s)
	}
}

func triggerInput(now rotation.Trigger) *slack.InputBlock {
	in := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plain("Choose a reason", maxPlaceholder), choiceAction)
	for _, t := range rotation.Triggers() {
		o := slack.NewOptionBlockObject(string(t), plain(rotation.TriggerText(t), maxOptionText), nil)
		in.Options = append(in.Options, o)
		if t == now {
			in.InitialOption = o
		}
	}
	return slack.NewInputBlock(TriggerBlock, plain("Why", maxLabel), nil, in)
}

// reasonInput asks why; known is what a rotation that was opened for a reason
// begins with.
func reasonInput(known string) *slack.InputBlock {
	in := slack.NewPlainTextInputBlockElement(plain("INC-42, or a sentence", maxPlaceholder), textAction)
	in.MaxLength = reasonMax
	in.InitialValue = cut(clean(known), reasonMax)
	return slack.NewInputBlock(ReasonBlock, plain("Reason", maxLabel),
		plain("Needed unless the rotation is scheduled. It goes into the record and the channel.", maxLabel), in).WithOptional(true)
}

func ticksInput() *slack.InputBlock {
	in := slack.NewCheckboxGroupsBlockElement(choiceAction)
	for _, q := range rotation.Prerequisites() {
		var hint *slack.TextBlockObject
		if q.Hint != "" {
			hint = plain(q.Hint, maxOptionText)
		}
		in.Options = append(in.Options, slack.NewOptionBlockObject(q.Name, plain(q.Text, maxOptionText), hint))
	}
	return slack.NewInputBlock(TicksBlock, plain("Confirm each", maxLabel), nil, in)
}

// orderText says what the test order does (R55, R57, R78–R80).
func orderText(p *page, s rotation.OrderSpec) string {
	what := strings.TrimSpace(fmt.Sprintf("%s %s %s, %s, %s", s.Side, s.Qty, s.Symbol, s.Type, s.TimeInForce))
	if s.LimitPrice != "" {
		what += ", limit " + s.LimitPrice
	}
	return "*Test order in step 6:* " + p.esc(what, detailMax) + ", mode=paper. It is real on the paper book. " +
		"The bot looks it up at Alpaca, cancels it, and sells exactly what was filled."
}

func orderInput() *slack.InputBlock {
	in := slack.NewRadioButtonsBlockElement(choiceAction,
		slack.NewOptionBlockObject(orderYes, plain("Place the test order", maxOptionText), nil),
		slack.NewOptionBlockObject(orderNo, plain("Place no order", maxOptionText), plain("The record says that it was skipped.", maxOptionText)))
	return slack.NewInputBlock(TestOrderBlock, plain("Test order", maxLabel), nil, in)
}

// passOption offers to let one failed item pass. To go on without the current
// pair, or without a snapshot, has consequences that are said (3.1 of the design).
func passOption(it rotation.Item) *slack.OptionBlockObject {
	switch it.Name {
	case rotation.CheckPair:
		return slack.NewOptionBlockObject(it.Name, plain("Go on without the current pair", maxOptionText),
			plain("If none could be read, step 7 has no old pair to prove dead.", maxOptionText))
	case rotation.CheckAccount:
		return slack.NewOptionBlockObject(it.Name, plain("Go on without a snapshot of the account", maxOptionText),
			plain("If no account is known, you must adopt the new one by its number.", maxOptionText))
	}
	return slack.NewOptionBlockObject(it.Name, plain(human(it), maxOptionText), nil)
}

// passInputs offers to let failed items pass, ten to a group. A name that is
// longer than an option's value may be cannot be let pass.
func (p *page) passInputs(s *rotation.Step) {
	failed, _ := split(s.Items)
	var options []*slack.OptionBlockObject
	for _, it := range failed {
		if len([]rune(it.Name)) > maxOptionValue || it.Name == "" || len(options) == maxOptions {
			continue
		}
		options = append(options, passOption(it))
	}
	if len(options) == 0 {
		return
	}
	group := 0
	for some := range slices.Chunk(options, maxChoices) {
		group++
		in := slack.NewCheckboxGroupsBlockElement(choiceAction, some...)
		p.add(slack.NewInputBlock(fmt.Sprintf("%s%d", passBlock, group), plain("Let these pass although they failed", maxLabel), nil, in).WithOptional(true))
	}
	why := slack.NewPlainTextInputBlockElement(nil, textAction)
	why.MaxLength = reasonMax
	p.add(slack.NewInputBlock(PassWhyBlock, plain("Why may they pass?", maxLabel), plain("It goes into the record as a deviation.", maxLabel), why).WithOptional(true))
}
