package modals

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const contracts = "../../testdata/contracts/slack"

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(contracts, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestLimitsFollowTheContract compares our numbers with those that somebody
// else collected: slackblocks-spec/limits.json and block-surfaces.json (R86).
func TestLimitsFollowTheContract(t *testing.T) {
	var spec map[string]any
	readJSON(t, "slackblocks-spec/limits.json", &spec)
	tests := map[string]int{
		"view.blocks.max_items": maxModalBlocks, "view.private_metadata.max_length": maxMetadata,
		"view.callback_id.max_length": maxID, "view.title.max_length": maxTitle, "view.submit.max_length": maxTitle, "view.close.max_length": maxTitle,
		"block_id.max_length": maxID, "action_id.max_length": maxID, "text.max_length": maxText,
		"section.text.max_length": maxText, "section.fields.max_items": maxFields, "section.fields.item_max_length": maxFieldText,
		"header.text.max_length": maxHeader, "context.elements.max_items": maxContext, "actions.elements.max_items": maxActions,
		"alert.text.max_length": maxAlert, "input.label.max_length": maxLabel, "input.hint.max_length": maxLabel,
		"select.placeholder.max_length": maxPlaceholder, "select.options.max_items": maxOptions,
		"plain_text_input.max_length.max": maxInputLength,
		"button.text.max_length":          maxButtonText, "button.value.max_length": maxButtonValue, "button.url.max_length": maxButtonURL,
		"confirmation.title.max_length": maxConfirmTitle, "confirmation.text.max_length": maxConfirmText, "confirmation.confirm.max_length": maxConfirmButton, "confirmation.deny.max_length": maxConfirmButton,
		"option.text.max_length": maxOptionText, "option.description.max_length": maxOptionText,
		"checkboxes.options.max_items": maxChoices, "radio_buttons.options.max_items": maxChoices,
	}
	for path, got := range tests {
		var at any = spec
		for part := range strings.SplitSeq(path, ".") {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		if want, ok := at.(float64); !ok || got != int(want) {
			t.Errorf("our limit of %s = %d, limits.json says %v", path, got, at)
		}
	}
	var surfaces struct {
		MaxBlocks map[string]int      `json:"max_blocks"`
		Surfaces  map[string][]string `json:"surfaces"`
	}
	readJSON(t, "block-surfaces.json", &surfaces)
	if surfaces.MaxBlocks["modal"] != maxModalBlocks || surfaces.MaxBlocks["message"] != maxMessageBlocks {
		t.Errorf("our block counts = %d and %d, block-surfaces.json says %v", maxModalBlocks, maxMessageBlocks, surfaces.MaxBlocks)
	}
	if got := surfaces.Surfaces["alert"]; len(got) != 1 || got[0] != "modal" {
		t.Errorf("alert is allowed on %v, Check allows it in modals only", got)
	}
}

func modal(blocks ...slack.Block) slack.ModalViewRequest {
	return slack.ModalViewRequest{Type: slack.VTModal, Title: plain("Title", maxTitle), Blocks: slack.Blocks{BlockSet: blocks}}
}

func raw(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

func TestCheckFindsEachBrokenLimit(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ü", n+1) }
	section := func(text string) slack.Block { return slack.NewSectionBlock(mrkdwn(text), nil, nil) }
	row := func(e ...slack.BlockElement) slack.Block { return slack.NewActionBlock("", e...) }
	in := func(e slack.BlockElement) slack.Block { return slack.NewInputBlock("b", raw("Label"), nil, e) }
	option := func(value, text string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(value, raw(text), nil)
	}
	many := func(n int) []slack.Block {
		var all []slack.Block
		for range n {
			all = append(all, slack.NewDividerBlock())
		}
		return all
	}
	submit := func(v slack.ModalViewRequest) slack.ModalViewRequest { v.Submit = raw("Go"); return v }
	with := func(change func(*slack.ModalViewRequest)) slack.ModalViewRequest {
		v := modal(section("x"))
		change(&v)
		return v
	}
	tests := []struct {
		name string
		view slack.ModalViewRequest
		want string
	}{
		{"long title", with(func(v *slack.ModalViewRequest) { v.Title = raw(long(maxTitle)) }), "title has 25 characters"},
		{"no title", with(func(v *slack.ModalViewRequest) { v.Title = nil }), "title is missing"},
		{"mrkdwn title", with(func(v *slack.ModalViewRequest) { v.Title = mrkdwn("x") }), "title is not plain_text"},
		{"long submit", with(func(v *slack.ModalViewRequest) { v.Submit = raw(long(maxTitle)) }), "submit has 25"},
		{"long close", with(func(v *slack.ModalViewRequest) { v.Close = raw(long(maxTitle)) }), "close has 25"},
		{"long metadata", with(func(v *slack.ModalViewRequest) { v.PrivateMetadata = long(maxMetadata) }), "private_metadata has 3001"},
		{"long callback", with(func(v *slack.ModalViewRequest) { v.CallbackID = long(maxID) }), "callback_id has 256"},
		{"long external id", with(func(v *slack.ModalViewRequest) { v.ExternalID = long(maxID) }), "external_id has 256"},
		{"no type", with(func(v *slack.ModalViewRequest) { v.Type = "home" }), "type is not modal"},
		{"no blocks", modal(), "blocks has 0 elements"},
		{"too many blocks", modal(many(maxModalBlocks + 1)...), "blocks has 101 elements"},
		{"empty text", modal(section("")), "blocks/0/text is empty"},
		{"long text", modal(section(long(maxText))), "blocks/0/text has 3001"},
		{"empty section", modal(slack.NewSectionBlock(nil, nil, nil)), "has neither text nor fields"},
		{"too many fields", modal(slack.NewSectionBlock(nil, make([]*slack.TextBlockObject, 11), nil)), "fields has 11"},
		{"long field", modal(slack.NewSectionBlock(nil, []*slack.TextBlockObject{mrkdwn(long(maxFieldText))}, nil)), "fields/0 has 2001"},
		{"long header", modal(slack.NewHeaderBlock(raw(long(maxHeader)))), "text has 151"},
		{"long alert", modal(slack.NewAlertBlock(raw(long(maxAlert)))), "text has 201"},
		{"empty context", modal(slack.NewContextBlock("")), "elements has 0"},
		{"block id twice", modal(slack.NewContextBlock("a", mrkdwn("x")), slack.NewContextBlock("a", mrkdwn("x"))), "blocks/1/block_id is there twice"},
		{"unknown block", modal(slack.NewMarkdownBlock("", "x")), "blocks/0 has an unknown type"},
		{"empty row", modal(row()), "elements has 0"},
		{"long button", modal(row(slack.NewButtonBlockElement("a", "", raw(long(maxButtonText))))), "text has 76"},
		{"long button value", modal(row(slack.NewButtonBlockElement("a", long(maxButtonValue), raw("x")))), "value has 2001"},
		{"no action id", modal(row(slack.NewButtonBlockElement("", "", raw("x")))), "action_id is missing"},
		{"action id twice", modal(row(slack.NewButtonBlockElement("a", "", raw("x")), slack.NewButtonBlockElement("a", "", raw("x")))), "elements/1/action_id is there twice"},
		{"long confirm", modal(row(slack.NewButtonBlockElement("a", "", raw("x")).WithConfirm(slack.NewConfirmationBlockObject(raw("t"), raw("t"), raw(long(maxConfirmButton)), nil)))), "confirm/confirm has 31"},
		{"input without submit", modal(in(slack.NewPlainTextInputBlockElement(nil, "a"))), "submit is missing, and there are inputs"},
		{"long input length", submit(modal(in(&slack.PlainTextInputBlockElement{Type: slack.METPlainTextInput, ActionID: "a", MaxLength: 3001}))), "max_length is 3001"},
		{"too many checkboxes", submit(modal(in(slack.NewCheckboxGroupsBlockElement("a", make([]*slack.OptionBlockObject, 11)...)))), "options has 11"},
		{"no options", submit(modal(in(slack.NewRadioButtonsBlockElement("a")))), "options has 0"},
		{"long option", submit(modal(in(slack.NewRadioButtonsBlockElement("a", option("v", long(maxOptionText)))))), "text has 76"},
		{"long option value", submit(modal(in(slack.NewRadioButtonsBlockElement("a", option(long(maxOptionValue), "x"))))), "value has 76"},
		{"option twice", submit(modal(in(slack.NewRadioButtonsBlockElement("a", option("v", "x"), option("v", "y"))))), "there twice"},
		{"strange initial option", submit(modal(in(&slack.RadioButtonsBlockElement{Type: slack.METRadioButtons, ActionID: "a", Options: []*slack.OptionBlockObject{option("v", "x")}, InitialOption: option("v", "y")}))), "initial_option is not one of the options"},
		{"unknown element", submit(modal(in(slack.NewDatePickerBlockElement("a")))), "has an unknown type"},
		{"two foci", submit(modal(in(&slack.PlainTextInputBlockElement{Type: slack.METPlainTextInput, ActionID: "a", FocusOnLoad: true}),
			slack.NewInputBlock("c", raw("L"), nil, &slack.PlainTextInputBlockElement{Type: slack.METPlainTextInput, ActionID: "a", FocusOnLoad: true}))), "focus_on_load is set 2 times"},
		{"too large", modal(slack.NewContextBlock("", mrkdwn(strings.Repeat("x", maxViewBytes)))), "bytes, at most 250000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.view)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check(%s) = %v, want an error with %q", tt.name, err, tt.want)
			}
		})
	}
	if err := Check(modal(section("x"))); err != nil {
		t.Errorf("Check(a good view) = %v, want nil", err)
	}
}

func TestCheckMessageFindsEachBrokenLimit(t *testing.T) {
	block := []slack.Block{slack.NewDividerBlock()}
	var many []slack.Block
	for range maxMessageBlocks + 1 {
		many = append(many, slack.NewDividerBlock())
	}
	tests := []struct {
		name string
		m    Message
		want string
	}{
		{"no text", Message{Blocks: block}, "text has 0 characters"},
		{"long text", Message{Text: strings.Repeat("ü", maxMessageText+1), Blocks: block}, "text has 4001"},
		{"too many blocks", Message{Text: "x", Blocks: many}, "blocks has 51"},
		{"alert", Message{Text: "x", Blocks: []slack.Block{slack.NewAlertBlock(raw("x"))}}, "alert outside a modal"},
		{"input", Message{Text: "x", Blocks: []slack.Block{slack.NewInputBlock("b", raw("L"), nil, slack.NewPlainTextInputBlockElement(nil, "a"))}}, "input outside a modal"},
	}
	for _, tt := range tests {
		if err := CheckMessage(tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckMessage(%s) = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// TestWorstCaseStaysWithinLimits fills every place of every view and message
// with three hundred items and thousands of characters (R86).
func TestWorstCaseStaysWithinLimits(t *testing.T) {
	for _, name := range rotation.StepNames() {
		o := worst(name)
		if err := Check(Step(o)); err != nil {
			t.Errorf("Check(Step at %s) = %v, want nil", name, err)
		}
		if err := CheckMessage(Channel(o)); err != nil {
			t.Errorf("CheckMessage(Channel at %s) = %v, want nil", name, err)
		}
		var all []rotation.Overview
		for range 100 {
			all = append(all, o)
		}
		if err := CheckMessage(Status(cards(all...), true)); err != nil {
			t.Errorf("CheckMessage(Status at %s) = %v, want nil", name, err)
		}
	}
	o := worst(rotation.StepRecord)
	long := o.Rotation.Reason
	o.Rotation.Outcome = rotation.Completed
	o.Rotation.Seq, o.Rotation.Head = 1<<63, long
	o.Rotation.Summary = &rotation.Summary{NextDue: long}
	for range 200 {
		o.Rotation.Summary.Lost = append(o.Rotation.Summary.Lost, long)
	}
	n := note()
	n.KeySet, n.Consumer = long, long
	for k := range n.Data {
		n.Data[k] = long
	}
	var keysets []string
	for range 300 {
		keysets = append(keysets, o.Rotation.KeySet+strings.Repeat("x", len(keysets)%3))
	}
	for i := range 150 {
		keysets = append(keysets, strings.Repeat("k", i%60)+string(rune('a'+i%26))+strings.Repeat("z", i/60))
	}
	for name, err := range map[string]error{
		"closed": Check(Closed(o)), "channel": CheckMessage(Channel(o)), "cancel": Check(Cancel(o)), "loading": Check(Loading(long)),
		"note": CheckMessage(Note(n)), "note updated": CheckMessage(NoteUpdated(n, at("03:00:00"))),
		"refused": Check(Refused(long, long).View()), "unknown keyset": CheckMessage(UnknownKeySet(long, keysets).Message()),
		"pick": Check(PickKeySet(keysets)), "sealed": Check(Sealed(o)),
	} {
		if err != nil {
			t.Errorf("worst case of %s: %v, want nil", name, err)
		}
	}
}

// TestSizes holds the sizes at which Slack loses an answer to a submission:
// the sealed view is the answer itself, the generate view may be.
func TestSizes(t *testing.T) {
	size := func(v slack.ModalViewRequest) int {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	if got := size(Sealed(worst(rotation.StepValidate))); got >= 4_000 {
		t.Errorf("Sealed is %d bytes, want under 4000", got)
	}
	o := worst(rotation.StepGenerate)
	o.Rotation.Snapshot = generating().Rotation.Snapshot
	if got := size(Generate(o)); got >= 20_000 {
		t.Errorf("Generate is %d bytes, want under 20000", got)
	}
}

func TestFitSaysHowManyAreMissing(t *testing.T) {
	lines := strings.Fields(strings.Repeat("0123456789 ", 100))
	for limit := 30; limit < 1200; limit++ {
		got := fit(lines, limit)
		if n := len([]rune(got)); n > limit {
			t.Fatalf("fit to %d gives %d characters", limit, n)
		}
		shown := strings.Count(got, "0123456789")
		if shown < 100 && !strings.HasSuffix(got, "… and "+strings.TrimSuffix(count(100-shown, "more", "more"), "")) {
			t.Fatalf("fit to %d shows %d of 100 lines and ends with %q", limit, shown, got[max(0, len(got)-20):])
		}
	}
}
