package modals

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// clean makes foreign text one line without control and formatting characters,
// so that it can neither fake a line nor turn the text around it.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// escape makes text safe for mrkdwn and cuts it to limit characters as they
// are sent. Only &, < and > have a meaning to Slack's parser: without them no
// mention, link or date can be written.
func escape(s string, limit int) string {
	var b strings.Builder
	size := 0
	for i, r := range s {
		out := string(r)
		switch r {
		case '&':
			out = "&amp;"
		case '<':
			out = "&lt;"
		case '>':
			out = "&gt;"
		case '`': // ends a code span of ours
			out = "'"
		}
		n := utf8.RuneCountInString(out)
		if size+n > limit-1 && i+utf8.RuneLen(r) < len(s) || size+n > limit {
			b.WriteString("…")
			break
		}
		b.WriteString(out)
		size += n
	}
	return b.String()
}

// cut shortens plain text to limit characters.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// fit joins as many lines as limit characters hold, and says how many are missing.
func fit(lines []string, limit int) string {
	const reserve = 24 // "\n… and 1000000 more"
	size := 0
	for i, l := range lines {
		n := utf8.RuneCountInString(l) + 1
		last := i == len(lines)-1
		if size+n > limit-reserve && (!last || size+n > limit+1) {
			return strings.Join(append(slices.Clone(lines[:i]), fmt.Sprintf("… and %d more", len(lines)-i)), "\n")
		}
		size += n
	}
	return strings.Join(lines, "\n")
}

// accountNumber matches what looks like a paper account number
// (facts: PA and ten of [0-9A-Z]); key IDs begin with PK.
var accountNumber = regexp.MustCompile(`\bPA[0-9A-Z]{8,}\b`)

// hider returns a function that hides the account numbers of a rotation, and
// whatever else looks like one, but for the last four characters.
func hider(o rotation.Overview) func(string) string {
	var pairs []string
	for _, n := range o.Numbers() {
		if n = clean(n); len(n) > 4 {
			pairs = append(pairs, n, rotation.Masked(n))
		}
	}
	replace := strings.NewReplacer(pairs...)
	return func(s string) string {
		return accountNumber.ReplaceAllStringFunc(replace.Replace(s), func(n string) string {
			if !strings.ContainsAny(n, "0123456789") {
				return n // a word
			}
			return rotation.Masked(n)
		})
	}
}

// slackUser matches the ID of a Slack user.
var slackUser = regexp.MustCompile(`^[UW][A-Z0-9]{2,20}$`)

// person names an actor: a mention for a Slack user.
func (p *page) person(id string) string {
	switch {
	case slackUser.MatchString(id):
		return "<@" + id + ">"
	case id == "bot", id == rotation.BotActor:
		return "the bot"
	case strings.HasPrefix(id, "local:"):
		return p.esc(strings.TrimPrefix(id, "local:"), 60) + " (terminal)"
	case id == "":
		return "nobody"
	}
	return p.esc(id, 60)
}

// clock shows a time of day.
func clock(t time.Time) string { return t.UTC().Format("15:04 UTC") }

// day shows a calendar day.
func day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// moment shows a day and a time of day.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// since shows when something began; the reader's client adds how long ago
// that is, so that running times need no update.
func since(t time.Time) string {
	return fmt.Sprintf("%s (<!date^%d^{ago}|%s>)", clock(t), t.Unix(), t.UTC().Format("15:04:05 UTC"))
}

// started shows how long ago something began, as the reader's client says it.
func started(t time.Time) string {
	return fmt.Sprintf("started <!date^%d^{ago}|%s>", t.Unix(), t.UTC().Format("15:04:05 UTC"))
}

// took shows a duration as people say it.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// count says how many of a thing there are.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// human turns a stable name into words: "current_pair" into "Current pair".
// The names of consumers stay as they are configured.
func human(it rotation.Item) string {
	switch it.Kind {
	case "old_pair":
		if n, ok := strings.CutPrefix(it.Name, "candidate/"); ok {
			return "Superseded pair " + n
		}
		return "Old pair"
	case "check", "test_order":
		s := strings.ReplaceAll(it.Name, "_", " ")
		if s != "" {
			return strings.ToUpper(s[:1]) + s[1:]
		}
	}
	return it.Name
}

// mark is the sign of a state. Signs differ in shape, not only in colour.
func mark(s rotation.State) string {
	switch s {
	case rotation.Pending:
		return "▫️"
	case rotation.Running:
		return "⏳"
	case rotation.Done:
		return "✅"
	case rotation.Failed:
		return "❌"
	case rotation.Skipped:
		return "➖"
	}
	return "❔"
}
