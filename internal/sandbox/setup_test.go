//go:build unix

package sandbox

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// setupWhole has TestSetup clone the last commit and build it, as a person does.
var setupWhole = flag.Bool("sandbox.setup", false, "TestSetup clones and builds for real")

// shellBlock is a block of commands in a document.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commandsOf returns the commands of a document, in order.
func commandsOf(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestSetup follows docs/setup.md literally, from the clone to a bot that
// answers in Slack: its commands are one shell script, run as they stand. What a
// person does beside them is done here: the tokens are pasted, and the editor
// fills in the settings, which also name the simulators. Without -sandbox.setup
// two commands are stand-ins: git makes the folder, and go makes a bot that is
// this very program.
func TestSetup(t *testing.T) {
	t.Parallel()
	blocks := commandsOf(t, "setup.md")
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "setup.md"))
	if err != nil {
		t.Fatal(err)
	}
	if steps := len(regexp.MustCompile(`(?m)^## \d+\. `).FindAll(doc, -1)); steps == 0 || steps > 10 || len(blocks) < 6 {
		t.Errorf("docs/setup.md has %d steps and %d blocks of commands, want at most 10 steps", steps, len(blocks))
	}
	w := newWorld(t)
	s := startSetup(t, w, strings.Join(blocks, "\n"))
	ctx, cancel := context.WithTimeout(t.Context(), setupLimit())
	defer cancel()
	go func() { // a script that ends early would else be waited for
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		s.stop()
		t.Fatalf("the bot is not connected: %v\n%s", err, s.said())
	}
	for _, want := range []string{"written         keyturn/bot.yml", "connections:write", "Paste SLACK_BOT_TOKEN, then press Enter: ", " 0 fail"} {
		if !strings.Contains(s.said(), want) {
			t.Errorf("nothing said %q:\n%s", want, s.said())
		}
	}
	got, err := w.Slack.Command(ctx, Ada, OpsChannel, "/rotate-alpaca-paper", "status")
	if err != nil || got.Reply == nil || !strings.Contains(got.Reply.Visible(), KeySet) {
		t.Errorf("/rotate-alpaca-paper status is answered %+v, %v, want the key set", got, err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the script ended with %d, want 0:\n%s", code, s.said())
	}
	for _, secret := range []string{w.Slack.Config().BotToken, w.Slack.Config().AppToken, infisicalSecret, herokuToken, githubToken, "AGE-SECRET-KEY"} {
		if strings.Contains(s.said(), secret) {
			t.Errorf("a secret was printed: %s…", secret[:8])
		}
	}
}

// setupLimit is how long the whole may take; a build takes long on a small
// machine that has nothing cached.
func setupLimit() time.Duration {
	if *setupWhole {
		return 10 * time.Minute
	}
	return 60 * time.Second
}

// A setup is a shell that follows the document.
type setup struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements [io.Writer].
func (s *setup) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// said returns all that was printed.
func (s *setup) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// stop ends the bot as Ctrl-C does and returns how the script ended.
func (s *setup) stop() int {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM) // the whole group that we started
	<-s.ended
	return s.cmd.ProcessState.ExitCode()
}

// startSetup runs script in an empty folder, as somebody who has these tokens
// and these ids.
func startSetup(t *testing.T, w *World, script string) *setup {
	t.Helper()
	s := &setup{ended: make(chan struct{})}
	// The last command is the bot: as the shell itself it gets the signal.
	lines := strings.Split(strings.TrimSpace(script), "\n")
	lines[len(lines)-1] = "exec " + lines[len(lines)-1]
	s.cmd = exec.Command("sh", "-euc", strings.Join(lines, "\n"))
	s.cmd.Dir, s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = t.TempDir(), strings.NewReader(w.pasted()), s, s
	s.cmd.Env = append(os.Environ(), w.standIns(t)...)
	s.cmd.SysProcAttr = attributes()
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	s.cmd.SysProcAttr.Setpgid = true
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(s.ended); _ = s.cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); <-s.ended })
	return s
}

// pasted are the tokens, in the order in which they are asked for.
func (w *World) pasted() string {
	c := w.Slack.Config()
	return strings.Join([]string{c.BotToken, c.AppToken, infisicalID, infisicalSecret, herokuToken, githubToken}, "\n") + "\n"
}

// standIns returns an environment with what a person does beside the commands:
// an editor that fills in the settings, a repository that is this one and,
// unless all is real, git and go.
func (w *World) standIns(t *testing.T) []string {
	t.Helper()
	tools := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"answers": w.answers(),
		"edit":    "#!/bin/sh\nexec sed -i -f '" + filepath.Join(tools, "answers") + "' \"$1\"\n",
	}
	if !*setupWhole {
		files["git"] = "#!/bin/sh\n[ \"$1\" = clone ] && mkdir keyturn\n"
		files["go"] = fmt.Sprintf("#!/bin/sh\nprintf '#!/bin/sh\\nexec \"%s\" %s \"$@\"\\n' > bot\nchmod 700 bot\n", self, cliArg)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tools, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"PATH=" + tools + string(os.PathListSeparator) + os.Getenv("PATH"), "EDITOR=" + filepath.Join(tools, "edit"),
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=url." + root + ".insteadOf", "GIT_CONFIG_VALUE_0=https://github.com/raxx-app/keyturn",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	}
}

// answers are the editor's: what a person knows, as a script for sed. The port is
// any that is free.
func (w *World) answers() string {
	return strings.Join([]string{
		"s|<channel-id>|" + OpsChannel + "|", "s|<group-id>|" + opsGroup + "|", "s|<user-id>|" + Ada + "|g",
		"s|<project-id>|" + projectID + "|", "s|<heroku-app>|" + prodApp + "|", "s|<owner>/<repository>|" + repoOwner + "/" + repoName + "|",
		"s|127.0.0.1:9464|127.0.0.1:0|",
		`$a endpoints: {slack: "` + w.Slack.APIURL() + `", alpaca: "` + w.Alpaca.URL() + `", infisical: "` + w.Infisical.URL() +
			`", heroku: "` + w.Heroku.URL() + `", github: "` + w.GitHub.URL() + `"}`,
	}, "\n") + "\n"
}
