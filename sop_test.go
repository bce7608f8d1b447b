package keyturn_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

var update = flag.Bool("keyturn.update", false, "write docs/sop.md anew")

// TestSOPDocument keeps docs/sop.md equal to the texts that people see in Slack
// and in the terminal: it is made of them, and read by who has neither open.
func TestSOPDocument(t *testing.T) {
	t.Parallel()
	path := filepath.Join("docs", "sop.md")
	want := sopDocument()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("docs/sop.md is not what the code says; write it anew with go test . -run TestSOPDocument -keyturn.update (-code +file):\n%s", diff)
	}
	for _, name := range rotation.StepNames() {
		if !strings.Contains(want, rotation.Text(name).Lead) {
			t.Errorf("step %s is missing", name)
		}
	}
}

// sopDocument renders the procedure.
func sopDocument() string {
	var b strings.Builder
	head := rotation.SOPHead()
	fmt.Fprintf(&b, "<!-- Made from internal/rotation/texts.go. Do not edit: change the texts there and run\n     go test . -run TestSOPDocument -keyturn.update -->\n# %s\n\n", head.Title)
	fmt.Fprintf(&b, "The procedure as the bot shows it, step by step, for whoever must do it without the bot or wants to read it before.\n\n")
	fmt.Fprintf(&b, "| | |\n|---|---|\n| mode | %s |\n| role | %s |\n| takes | about %d minutes |\n| last validated | %s (%s) |\n\n%s\n\n", head.Mode, head.Role, head.AverageMinutes, head.Validated, head.Method, head.MethodNote)
	b.WriteString("## When\n\n")
	for _, trigger := range []rotation.Trigger{rotation.TriggerScheduled, rotation.TriggerOperator, rotation.TriggerOffboarding, rotation.TriggerReset} {
		fmt.Fprintf(&b, "- %s\n", rotation.TriggerText(trigger))
	}
	b.WriteString("\n## Before you begin\n\n")
	for _, p := range rotation.Prerequisites() {
		fmt.Fprintf(&b, "- %s", p.Text)
		if p.Hint != "" {
			fmt.Fprintf(&b, ". *%s*", p.Hint)
		}
		b.WriteString("\n")
	}
	for n, name := range rotation.StepNames() {
		text := rotation.Text(name)
		fmt.Fprintf(&b, "\n## %d. %s\n\n%s\n\n", n+1, text.Title, text.Lead)
		for i, do := range text.Do {
			fmt.Fprintf(&b, "%d. %s\n", i+1, do)
		}
		list(&b, "Must not happen", text.Warn)
		list(&b, "Good to know", text.Gotchas)
		var links []string
		for _, l := range text.Links {
			links = append(links, fmt.Sprintf("[%s](%s)", l.Label, l.URL))
		}
		list(&b, "Pages", links)
	}
	return b.String()
}

// list writes lines under a heading, if there are any.
func list(b *strings.Builder, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", heading)
	for _, line := range lines {
		fmt.Fprintf(b, "- %s\n", line)
	}
}
