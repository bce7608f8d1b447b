package modals

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Record returns the view of step 8 while it is being written (R61–R63).
func Record(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepRecord)
	p.fields([]rotation.Fact{
		{Label: "Action", Value: "secret.rotate.completed"},
		{Label: "Actor", Value: o.Rotation.Operator.Admin},
		{Label: "Secrets", Value: secretNames(o.Names)},
		{Label: "Method", Value: "operator-assisted-dashboard"},
	})
	p.body(o, s)
	return view(o, RecordCallback, p)
}

// Closed returns the view of a rotation that is over.
func Closed(o rotation.Overview) slack.ModalViewRequest {
	p := &page{}
	switch o.Rotation.Outcome {
	case rotation.Completed:
		if left := unproven(o.Rotation); left != "" {
			p.header("Rotated, but not all of it is proven")
			p.text("⚠️ The new pair is stored, but " + left + ".")
			break
		}
		p.header("Rotated: the new pair works, the old one is dead")
	case rotation.Cancelled:
		p.header("Cancelled before the click")
	case rotation.StoodDown:
		p.header("Stood down: the key works again")
	case rotation.Open:
		p.header("No open rotation")
	}
	if len(o.Rotation.Steps) > 0 {
		p.small(strip(o.Rotation, ""))
	}
	if o.Rotation.Outcome == rotation.Completed {
		p.fields(validated(candidate(o.Rotation))) // step 3 is over too soon to be read
	}
	p.text(p.why(o))
	p.lines(p.cause(o.Rotation)...)
	p.ending(o)
	return view(o, ClosedCallback, p)
}

// ending shows what became of a rotation.
func (p *page) ending(o rotation.Overview) {
	r := o.Rotation
	switch r.Outcome {
	case rotation.Cancelled:
		p.text(fmt.Sprintf("Cancelled at %s. Nothing was generated, stored or sent.", moment(r.Closed)))
	case rotation.StoodDown:
		p.text(stoodDown(r) + "; nothing was changed. The rotation that the bot had opened is over since " + moment(r.Closed) + ".")
	case rotation.Completed:
		p.summary(o)
	case rotation.Open:
		p.text("Start one with /rotate-alpaca-paper.")
	}
	p.deviations(r)
}

// summary adds up a completed rotation.
func (p *page) summary(o rotation.Overview) {
	r := o.Rotation
	s := r.Summary
	if s == nil {
		s = &rotation.Summary{TookMS: r.Closed.Sub(r.Opened).Milliseconds()}
	}
	facts := []rotation.Fact{
		{Label: "New key", Value: last4(candidate(r).Last4)},
		{Label: "Exposed time", Value: exposedFor(millis(s.ExposedMS), millis(s.ExposedMaxMS))},
		// R6
		{Label: "Took", Value: fmt.Sprintf("%s (the procedure's average: %d min)", took(millis(s.TookMS)), rotation.SOPHead().AverageMinutes)},
		{Label: "Next due", Value: s.NextDue},
		{Label: "Done by", Value: r.Operator.Admin},
		{Label: "Secrets", Value: secretNames(o.Names)},
	}
	if !r.Closed.IsZero() {
		facts = append(facts, rotation.Fact{Label: "Completed", Value: moment(r.Closed)})
	}
	if r.OldLast4 != "" {
		facts = append(facts, rotation.Fact{Label: "Old key, dead", Value: last4(r.OldLast4)})
	}
	p.fields(facts)
	p.text(testOrder(p, o))
	p.text(queued(o))
	if len(s.Lost) > 0 {
		lines := []string{"*Different from the snapshot:*"}
		for _, l := range s.Lost {
			lines = append(lines, "• "+p.esc(l, detailMax))
		}
		p.lines(lines...)
	}
	if r.Seq > 0 {
		// The whole hash: Slack is an outside witness of the audit chain.
		p.small(fmt.Sprintf("Audit row %d · `%s` · check it with `bot audit verify --anchor %d:%s`", r.Seq, p.esc(r.Head, 80), r.Seq, p.esc(r.Head, 80)))
	}
}

// testOrder says what became of the test order (R55, R56, R79, R80).
func testOrder(p *page, o rotation.Overview) string {
	t := o.Rotation.Order
	switch {
	case t == nil && o.Order == nil:
		return ""
	case t == nil:
		return "Test order: none was placed; none was asked for in step 1."
	}
	what := "Test order"
	if t.ID != "" {
		what += " `" + p.esc(t.ID, nameMax) + "`"
	}
	switch {
	case t.Cleanup != "" && t.Cleanup != "left":
		what += ": " + p.esc(t.Cleanup, detailMax) + "."
	case o.Rotation.Outcome == rotation.Open:
		what += ": " + cmp.Or(p.esc(t.Status, nameMax), "sent") + "."
	case mayBeLive(o.Rotation):
		what += ": 🚨 *it was not found on the paper book.* Look at the *LIVE* dashboard, and cancel or sell it where it is."
	default:
		what += ": ⚠️ *it is not cleaned up.* Look at the paper orders page and cancel or sell it there."
	}
	return what + " <" + rotation.PaperOrdersURL + "|Paper orders>"
}

// mayBeLive reports whether nobody knows that the test order is on paper.
func mayBeLive(r rotation.Rotation) bool {
	it := r.Step(rotation.StepVerify).Item("test_order")
	return it != nil && maybeLive(*it)
}

// queued says what GitHub cannot change any more (R48).
func queued(o rotation.Overview) string {
	for _, t := range o.Targets {
		if t.Kind != "github_actions" {
			continue
		}
		if len(o.Rotation.Steps) == 0 {
			return ""
		}
		end := o.Rotation.Step(rotation.StepPropagate).Ended
		if end.IsZero() {
			return ""
		}
		return "GitHub Actions: runs queued before " + clock(end) + " keep the old value. Run them again if they fail."
	}
	return ""
}

// deviations lists what was done or skipped against the procedure.
func (p *page) deviations(r rotation.Rotation) {
	if len(r.Deviations) == 0 {
		return
	}
	lines := []string{"*Deviations:*"}
	for _, d := range r.Deviations {
		lines = append(lines, fmt.Sprintf("• %s %s: %s — %s", clock(d.At), p.person(d.By.ID), p.esc(d.What, detailMax), p.esc(d.Why, detailMax)))
	}
	p.lines(lines...)
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func last4(s string) string {
	if s == "" {
		return ""
	}
	return "····" + s
}

func secretNames(n rotation.Names) string {
	return strings.Trim(n.KeyID+", "+n.Secret, ", ")
}
