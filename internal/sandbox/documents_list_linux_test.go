package sandbox

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A written command is one of a document, and what a person makes of it. Exactly one
// of why and says is set.
type written struct {
	text  string // as it stands in the documents; of flags alone "DOCUMENT: FLAGS"
	as    string // what is written, with the placeholders filled in; "": as it stands
	stdin string // what is piped into it
	code  int    // the exit code
	says  string // what it must print
	until string // what it prints before it is ended as Ctrl-C does; "" if it ends by itself
	keys  string // what is pressed when says can be read, at a terminal; "": it gets none
	why   string // why it is not run here; it must hold on any machine
}

// wholePair, as keys, are those of the new pair.
const wholePair = "the pair"

// The name of the file that bot backup writes, and what the test fills in: the
// rotation's anchor and its ID.
const (
	copied       = "copy.db"
	anchorHere   = "@anchor@"
	rotationHere = "@rotation@"
)

// stepTwo are the commands for a rotation that was begun in Slack and waits for
// the pair. Each goes on with it; the last one ends it.
var stepTwo = []written{
	{text: "docs/security.md: --pair-file", as: "bot rotate prod --yes --pair-file -", stdin: "PKTOOSHORT\nx\n", code: 3, says: "To go on: bot rotate prod --config bot.yml"},
	{text: "bot rotate KEYSET", as: "bot rotate prod", code: 3, says: "┃ Key ID", keys: ctrlC},
	{text: "bot rotate", as: "bot rotate prod", code: 3, says: "┃ Key ID", keys: ctrlC},
	{text: "./bot rotate KEYSET --config keyturn/bot.yml", as: "./bot rotate prod --config keyturn/bot.yml", code: 3, says: "┃ Key ID", keys: ctrlC},
	{text: "sudo bot rotate prod --config /etc/keyturn/bot.yml", says: "prod is rotated", keys: wholePair},
}

// besideBot are the commands beside a bot that has done one rotation.
var besideBot = []written{
	{text: "bot status", says: KeySet},
	{text: "bot status --config bot.yml", says: KeySet},
	{text: "docs/recovery.md: --json", as: "bot status --config bot.yml --json", says: `"keysets"`},
	{text: "sudo bot status --config /etc/keyturn/bot.yml", says: KeySet},
	{text: "bot audit verify", says: "intact: "},
	{text: "bot audit verify --anchor SEQ:HASH", as: "bot audit verify --anchor " + anchorHere, says: "the anchor agrees"},
	{text: "bot audit show ID", as: "bot audit show " + rotationHere, says: `"outcome":"completed"`},
	{text: "bot audit pack ID", as: "bot audit pack " + rotationHere, says: "completed; check it with: bot audit verify"},
	{text: "bot doctor", says: " 0 fail"},
	{text: "bot backup", as: "bot backup " + copied, says: copied},
	{text: "bot init", as: "bot init anew", says: "anew/bot.yml"},
	{text: "sha256sum -c SHA256SUMS", says: "bot: OK"},
}

// alone are the commands without a bot beside them.
var alone = []written{
	{text: "bot restore", as: "bot restore " + copied, says: copied},
	{text: "bot run", says: `"level"`, until: `"msg":"slack socket up"`},
}

// ofSandbox are those of the other program.
var ofSandbox = []written{
	{text: "go run ./cmd/sandbox", says: "Open http://127.0.0.1:", until: "Ctrl-C stops it."},
	{text: "README.md: --drill NAME", as: "go run ./cmd/sandbox --drill scheduled-day", says: "Drill: ", until: "Ctrl-C stops it."},
	{text: "README.md: --drill list", as: "go run ./cmd/sandbox --drill list", says: "scheduled-day"},
	{text: "README.md: --fault list", as: "go run ./cmd/sandbox --auto --fault list", says: "heroku-release-fails"},
	{text: "go run ./cmd/sandbox --auto --fault list", says: "heroku-release-fails"},
	{text: "go run ./cmd/sandbox --auto", says: "completed. Exposed time:"},
	{text: "README.md: --json", as: "go run ./cmd/sandbox --auto --json", says: `"outcome":"completed"`},
	{text: "README.md: --fault NAME", as: "go run ./cmd/sandbox --auto --fault heroku-500", says: "completed. Exposed time:"},
	{text: "go run ./cmd/sandbox --auto --fault heroku-release-fails", says: "completed. Exposed time:"},
}

// notRun are the commands that no test can run as they stand.
var notRun = []written{
	{text: "go test ./...", why: "it is what runs this test"},
	{text: ".ci/run", why: "it runs go test ./..., and so this test"},
	{text: "go test . -run TestSOPDocument -keyturn.update", why: "it writes into the tree that other tests read; TestSOPIsWrittenAnew at the module's root runs that test, with that flag, in a folder of its own"},
	{text: "journalctl -u keyturn -o cat", why: "it needs systemd as the host's first process, which a container has not"},
	{text: "systemctl status keyturn", why: "it needs systemd as the host's first process, which a container has not"},
	{text: "sudo systemctl disable --now keyturn", why: "it needs systemd as the host's first process, which a container has not"},
	{text: "age-keygen", why: "it is a program of the age project, which not every machine has; a key of its form is what bot init writes"},
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	inline  = regexp.MustCompile("`([^`\n]+)`")
	program = regexp.MustCompile(`^(?:sudo )?(?:\./)?(?:bot|go|git|docker|systemctl|journalctl|promtool|age-keygen|age|sha256sum|npm|curl|kill|openssl|\.ci/run|conformance/run\.sh)(?: |$)`)
	flags   = regexp.MustCompile(`^--[a-z]`)
)

// followed are the documents whose blocks of commands are followed as a whole, by
// TestSetup and TestOperations.
var followed = map[string]bool{"docs/setup.md": true, "docs/operations.md": true}

// commandsIn returns every command in a document, in a block or in a sentence,
// but the blocks that are followed as a whole.
func commandsIn(t *testing.T, name string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fenced.FindAllStringSubmatch(string(data), -1) {
		for line := range strings.Lines(m[2]) {
			line = strings.TrimPrefix(strings.TrimRight(line, "\n"), "$ ")
			shell := m[1] == "sh" || m[1] == "bash" || m[1] == "console"
			if shell && !followed[name] && line != "" || !shell && program.MatchString(line) {
				list = append(list, line)
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(string(data), ""), -1) {
		switch {
		case program.MatchString(m[1]):
			list = append(list, m[1])
		case flags.MatchString(m[1]):
			list = append(list, name+": "+m[1])
		}
	}
	return list
}

// TestEveryCommandIsListed: each command of a document is in one of the lists
// above, once, and each line of a list is in a document.
func TestEveryCommandIsListed(t *testing.T) {
	t.Parallel()
	docs, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(docs) < 7 {
		t.Fatalf("documents %v, %v", docs, err)
	}
	names := []string{"README.md", "CONTRIBUTING.md"}
	for _, d := range docs {
		names = append(names, "docs/"+filepath.Base(d))
	}
	in := map[string]string{}
	for _, name := range names {
		for _, command := range commandsIn(t, name) {
			in[command] = name
		}
	}
	listed := map[string]bool{}
	for _, list := range [][]written{stepTwo, besideBot, alone, ofSandbox, notRun} {
		for _, c := range list {
			if listed[c.text] || (c.why == "") == (c.says == "") {
				t.Errorf("%q is listed twice, or neither run nor excused, or both", c.text)
			}
			if listed[c.text] = true; in[c.text] == "" {
				t.Errorf("%q is in no document any more: take it off its list", c.text)
			}
		}
	}
	for command, name := range in {
		if !listed[command] {
			t.Errorf("%s has the command %q, which no test runs: put it into a list of documents_list_linux_test.go", name, command)
		}
	}
}
