package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// exitWaiting is the code of rotate when the rotation waits for a person; it
// has printed the command to go on with.
const exitWaiting = 3

// answers are what rotate's flags say, so that nobody has to be asked.
type answers struct {
	pairFile  string // "" asks, "-" is stdin
	trigger   string
	reason    string
	testOrder bool
	pass      bool // failed checks, for the reason given
	yes       bool // the prerequisites hold, and nobody is there to be asked
}

func rotateCommand(env Env) *cobra.Command {
	var in answers
	cmd := withConfig(&cobra.Command{
		Use:   "rotate KEYSET",
		Short: "Do the whole procedure in this terminal; with a bot or without, with Slack or without",
		Long: `Rotate walks you through the same eight steps as Slack does, with the same checks.
Beside a running bot it uses that bot; without one it is the bot for as long as
it runs. A rotation that was begun in Slack goes on here, and the other way round.

The pair is typed masked, or read with --pair-file: two lines, or NAME=value
lines. It is never an argument.

With --yes nobody is asked anything: it says that what step 1 wants confirmed
holds. Whatever needs a decision then ends the command with exit code 3, and the
rotation waits.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rotate(cmd, env, args[0], in)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.pairFile, "pair-file", "", "file with the new pair, read in step 2; - is standard input")
	f.StringVar(&in.trigger, "trigger", "", "why: scheduled, operator, offboarding or reset; asked for if left out")
	f.StringVar(&in.reason, "reason", "", "the reason, for the record")
	f.BoolVar(&in.testOrder, "test-order", false, "place the test order in step 6")
	f.BoolVar(&in.pass, "pass-failed", false, "let failed checks of step 1 pass, for --reason; the record has it as a deviation")
	f.BoolVar(&in.yes, "yes", false, "confirm the prerequisites of step 1 and ask nothing")
	return cmd
}

// check finds what is wrong with the flags for key sets that are named so.
func (in answers) check(keyset string, known []string) error {
	switch {
	case !slices.Contains(known, keyset):
		return fmt.Errorf("bot.yml has no key set %q; it has: %s", keyset, strings.Join(known, ", "))
	case in.trigger != "" && !slices.Contains(rotation.Triggers(), rotation.Trigger(in.trigger)):
		return fmt.Errorf("--trigger %s is none of scheduled, operator, offboarding, reset", in.trigger)
	case !in.yes || in.reason != "":
		return nil
	case in.pass:
		return errors.New("--pass-failed needs a --reason: it is recorded as a deviation")
	case in.trigger != "" && in.trigger != string(rotation.TriggerScheduled):
		return fmt.Errorf("--trigger %s needs a --reason: it is part of the record", in.trigger)
	}
	return nil
}

func rotate(cmd *cobra.Command, env Env, keyset string, in answers) error {
	ctx := cmd.Context()
	cfg, err := loadForReading(configPath(cmd), env.Getenv) // beside a bot no token is needed
	if err != nil {
		return err
	}
	var names []string
	for _, k := range cfg.KeySets {
		names = append(names, k.Name)
	}
	if err := in.check(keyset, names); err != nil {
		return err
	}
	again := continuation(keyset, configPath(cmd))
	if !isTerminal(env.Stdout) {
		env.Stdout = &steady{out: env.Stdout, other: env.Stderr, again: again}
	}
	ask, err := newAsker(env, in)
	if err != nil {
		return err
	}
	bot, err := reachBot(ctx, env, cfg, func() (config.Config, error) { return load(ctx, configPath(cmd), env.Getenv) })
	if err != nil {
		return &failure{err: err, code: codeOf(err)}
	}
	defer bot.end()
	t := &terminal{bot: bot, ask: ask, in: in, out: env.Stdout, keyset: keyset, config: configPath(cmd)}
	code, err := t.rotate(ctx)
	if err == nil && code == 0 {
		return nil
	}
	if err == nil {
		err = errors.New("the rotation is not completed") // why has been said
	}
	return &failure{err: err, code: code, shown: code == exitWaiting}
}

// continuation is the command that goes on with the rotation of a key set, as a
// shell takes it.
func continuation(keyset, config string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("/._-+@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if strings.ContainsFunc(config, odd) {
		config = "'" + strings.ReplaceAll(config, "'", `'\''`) + "'"
	}
	return "bot rotate " + keyset + " --config " + config
}

// A steady writer goes on at another place when nobody reads the first one any
// more. It is for one goroutine.
type steady struct {
	out, other io.Writer
	again      string // the command to go on with
	gone       bool
}

// Write implements [io.Writer].
func (s *steady) Write(p []byte) (int, error) {
	if !s.gone {
		n, err := s.out.Write(p)
		if err == nil {
			return n, nil
		}
		s.gone = true
		fmt.Fprintf(s.other, "Nobody reads what this command says; it is said here from now on. If it ends, to go on: %s\n", s.again)
	}
	return s.other.Write(p)
}
