package modals

import (
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	reportFailed = 20   // failed items that the answer to check shows one by one
	reportLines  = 1400 // characters for the others
)

// Checking answers "check" at once: what is tried takes seconds.
func Checking(keysets []string) Message {
	var names []string
	for _, k := range keysets {
		names = append(names, "*"+escape(clean(k), nameMax)+"*")
	}
	return only("⏳ Checking " + fitWords(names, maxText/2) + "… This opens no rotation and changes nothing. What it finds comes as a message that only you see.")
}

// Report returns the ephemeral answer to "check": what step 1 would say now.
// What failed comes first, with what to do; then what reading cannot prove;
// what is ready is counted. past says when a write last succeeded.
func Report(r rotation.Report, past rotation.Record) Message {
	o := reported(r, past)
	p := &page{hide: hider(o), left: reportFailed}
	s := o.Rotation.Step(rotation.StepPrecheck)
	n := o.Gate()
	text := fmt.Sprintf("Readiness %d of %d", n.Ready+n.Unproven, n.Ready+n.Unproven+n.Failed+n.Passed+n.Open)
	name := p.esc(r.KeySet, nameMax)
	p.text("*" + name + ": " + text + "* · " + gateLine(o))
	p.small("Checked " + moment(r.At) + ". No rotation was opened and nothing was changed · " + due(r.Due, r.At))
	failed, rest := split(s.Items)
	for i, it := range failed {
		if i == reportFailed {
			p.text(fmt.Sprintf("❌ … and %d more failed. They follow when these are mended.", len(failed)-i))
			break
		}
		p.text(p.reportFailure(it))
	}
	if n.Failed == 0 {
		p.text("✅ Nothing failed: a rotation can start.")
	}
	var unproven, ready []string
	for _, it := range rest {
		if it.State == rotation.Done && it.Level != rotation.Unproven {
			ready = append(ready, p.esc(human(it), nameMax))
			continue
		}
		unproven = append(unproven, p.item(o, s, it))
	}
	p.text(fit(unproven, reportLines))
	if len(ready) > 0 {
		p.text(fmt.Sprintf("✅ %d ready: %s", len(ready), fitWords(ready, reportLines)))
	}
	p.reportAccount(o)
	return Message{Text: strings.ReplaceAll(name, "*", "") + ": " + text, Blocks: p.blocks}
}

// reported puts a report where the texts of step 1 look for it.
func reported(r rotation.Report, past rotation.Record) rotation.Overview {
	if len(r.Exposed) > 0 {
		past.Exposed = r.Exposed
	}
	past.KeySet = r.KeySet
	return rotation.Overview{
		Rotation: rotation.Rotation{KeySet: r.KeySet, Snapshot: r.Snapshot, Steps: []rotation.Step{
			{Number: 1, Name: rotation.StepPrecheck, State: rotation.Done, Items: r.Items},
		}},
		Past: past, Now: r.At,
	}
}

// reportFailure shows a failed item and what to do. Nothing goes on by itself
// here, so unlike in step 1 it does not say that it does.
func (p *page) reportFailure(it rotation.Item) string {
	text := mark(rotation.Failed) + " *" + p.esc(human(it), nameMax) + "*" + p.detail(it)
	what := it.Problem
	// There is no such button here.
	what.Fix = strings.NewReplacer("press Check again", "type the command again", "Press Check again", "Type the command again").Replace(what.Fix)
	if pr := p.problem(what); pr != "" {
		text += "\n" + pr
	}
	return text
}

// reportAccount shows the account by its last four, and what the click would
// cost now.
func (p *page) reportAccount(o rotation.Overview) {
	s := o.Rotation.Snapshot
	if s == nil {
		p.text("No snapshot of the account could be taken.")
		return
	}
	p.text(marketLine(o))
	parts := []string{"Account " + p.esc(rotation.Masked(s.Account.Number), 12), p.esc(s.Account.Status, 40)}
	if s.Account.Equity != "" {
		parts = append(parts, "equity "+p.esc(strings.TrimSpace(s.Account.Equity+" "+s.Account.Currency), 60))
	}
	if s.Account.Cash != "" {
		parts = append(parts, "cash "+p.esc(strings.TrimSpace(s.Account.Cash+" "+s.Account.Currency), 60))
	}
	p.small(strings.Join(append(parts, "snapshot taken "+moment(s.At)), " · "))
}

// only is a message of one section; its notification says the same without
// marks.
func only(text string) Message {
	return Message{Text: strings.ReplaceAll(text, "*", ""), Blocks: []slack.Block{slack.NewSectionBlock(mrkdwn(text), nil, nil)}}
}
