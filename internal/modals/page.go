package modals

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// How long single parts of a text may be, in characters as sent. Slack's own
// limits are in limits.go; these keep one part from crowding out the others.
const (
	nameMax    = 80
	detailMax  = 300
	problemMax = 700
	noteMax    = 1400 // a note may hold a problem and its fix
	reasonMax  = 500  // also of the inputs that ask for one
)

// A page collects blocks.
type page struct {
	hide   func(string) string // hides account numbers; nil in the operator's own views
	left   int                 // failed items that may still be shown in full
	blocks []slack.Block
	ids    []string // of blocks, that are taken
}

// esc makes foreign text safe to put into mrkdwn.
func (p *page) esc(raw string, limit int) string { return escape(p.word(raw), limit) }

// word is foreign text for plain_text.
func (p *page) word(raw string) string {
	raw = clean(raw) // first: an invisible character must not split a number
	if p.hide != nil {
		raw = p.hide(raw)
	}
	return raw
}

func (p *page) add(b ...slack.Block) { p.blocks = append(p.blocks, b...) }

func (p *page) header(text string) { p.add(slack.NewHeaderBlock(plain(text, maxHeader))) }

// text adds a section. Empty text adds nothing.
func (p *page) text(text string) {
	if text != "" {
		p.add(slack.NewSectionBlock(mrkdwn(text), nil, nil))
	}
}

// lines adds a section of as many lines as fit.
func (p *page) lines(lines ...string) { p.text(fit(lines, maxText)) }

// small adds small print.
func (p *page) small(text string) {
	if text != "" {
		p.add(slack.NewContextBlock("", mrkdwn(text)))
	}
}

// alert adds a coloured box, for modals only. The text is plain words of ours,
// or escaped and short.
func (p *page) alert(level slack.AlertLevel, text string) {
	p.add(slack.NewAlertBlock(slack.NewTextBlockObject(slack.PlainTextType, cut(text, maxAlert), false, false), slack.AlertBlockOptionLevel(level)))
}

// fields adds evidence in two columns.
func (p *page) fields(facts []rotation.Fact) {
	var fields []*slack.TextBlockObject
	for _, f := range facts {
		if f.Value == "" {
			continue
		}
		fields = append(fields, mrkdwn("*"+p.esc(f.Label, nameMax)+"*\n"+p.esc(f.Value, detailMax)))
	}
	for len(fields) > 0 {
		n := min(len(fields), maxFields)
		p.add(slack.NewSectionBlock(nil, fields[:n], nil))
		fields = fields[n:]
	}
}

// buttons adds a row of buttons. Slack gives a block without an ID a new one at
// each redraw, and a press belongs to a block: what is pressed at the moment of a
// redraw would be gone. The ID says which row it is, whatever stands in it.
func (p *page) buttons(id string, elements ...slack.BlockElement) {
	if len(elements) > 0 {
		p.add(slack.NewActionBlock(p.own(id), elements...))
	}
}

// withButton adds a section with a button at its right; without one if b is nil.
func (p *page) withButton(id, text string, b *slack.ButtonBlockElement) {
	section := slack.NewSectionBlock(mrkdwn(text), nil, nil)
	if b != nil {
		section.BlockID, section.Accessory = p.own(id), slack.NewAccessory(b)
	}
	p.add(section)
}

// own returns id if a block can have it, else "": Slack refuses all of a view in
// which an ID is too long or there twice.
func (p *page) own(id string) string {
	if len([]rune(id)) > maxID || slices.Contains(p.ids, id) {
		return ""
	}
	p.ids = append(p.ids, id)
	return id
}

// numbered shows texts of the procedure as numbered lines.
func numbered(texts []string) string {
	lines := make([]string, 0, len(texts))
	for i, t := range texts {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, escape(t, maxText)))
	}
	return strings.Join(lines, "\n")
}

// bullets shows texts of the procedure, each after sign.
func bullets(sign string, texts []string) string {
	lines := make([]string, 0, len(texts))
	for _, t := range texts {
		lines = append(lines, sign+" "+escape(t, maxText))
	}
	return strings.Join(lines, "\n")
}

// links shows links of the procedure in one line.
func links(all []rotation.Link) string {
	parts := make([]string, 0, len(all))
	for _, l := range all {
		parts = append(parts, fmt.Sprintf("<%s|%s>", l.URL, escape(l.Label, nameMax)))
	}
	return strings.Join(parts, " · ")
}

// mrkdwn is verbatim: Slack marks up what we wrote and nothing else, so names
// and addresses in foreign text do not become mentions and links.
func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}

func plain(text string, limit int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, cut(clean(text), limit), false, false)
}

// button returns a button, or nil if what it is bound to does not fit.
func button(action, label string, b Bind) *slack.ButtonBlockElement {
	value := b.String()
	if len([]rune(value)) > maxButtonValue || strings.Contains(b.KeySet, "|") {
		return nil
	}
	return slack.NewButtonBlockElement(action, value, plain(label, maxButtonText))
}
