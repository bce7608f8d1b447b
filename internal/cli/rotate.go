package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
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

func rotate(cmd *cobra.Command, env Env, keyset string, in answers) error {
	ctx := cmd.Context()
	cfg, err := config.Load(configPath(cmd), env.Getenv)
	if err != nil {
		return err
	}
	if in.trigger != "" && !known(in.trigger) {
		return fmt.Errorf("--trigger %s is none of scheduled, operator, offboarding, reset", in.trigger)
	}
	ask, err := newAsker(env, in)
	if err != nil {
		return err
	}
	bot, end, err := reachBot(ctx, env, cfg)
	if err != nil {
		return failed(err)
	}
	defer end()
	t := &terminal{bot: bot, ask: ask, in: in, out: env.Stdout, keyset: keyset, again: "bot rotate " + keyset + " --config " + configPath(cmd)}
	code, err := t.rotate(ctx)
	if err == nil && code == 0 {
		return nil
	}
	if err == nil {
		err = errors.New("the rotation is not completed") // why has been said
	}
	return &failure{err: err, code: code, shown: code == exitWaiting}
}

func known(trigger string) bool {
	for _, t := range rotation.Triggers() {
		if string(t) == trigger {
			return true
		}
	}
	return false
}

// reachBot returns the running bot, or starts one in this process that runs
// until end is called. Its log goes beside the state, out of the way of what
// the person reads.
func reachBot(ctx context.Context, env Env, cfg config.Config) (bot *control.Client, end func(), err error) {
	bot = control.Dial(cfg.State.Socket)
	_, err = bot.About(ctx)
	if err == nil {
		return bot, bot.Close, nil
	}
	if !errors.Is(err, control.ErrNobody) {
		bot.Close()
		return nil, nil, heldError(cfg.State.Path, err)
	}
	path := cfg.State.Path + ".rotate.log"
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // beside the state
	if err != nil {
		bot.Close()
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	inner, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	log := slog.New(slog.NewJSONHandler(file, &slog.HandlerOptions{Level: cfg.Log.Level}))
	go func() { ended <- app.Run(inner, app.Options{Config: cfg, Now: env.Now, Log: log, Hooks: env.Hooks}) }()
	end = func() {
		stop()
		if err := <-ended; err != nil {
			log.WarnContext(context.WithoutCancel(ctx), "bot ended", slog.Any("error", err))
		}
		bot.Close()
		_ = file.Close()
	}
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		if _, err = bot.About(ctx); err == nil {
			fmt.Fprintf(env.Stdout, "No bot is running: this command is the bot until it ends. Its log: %s\n", path)
			return bot, end, nil
		}
		select {
		case err := <-ended:
			ended <- nil
			end()
			return nil, nil, err
		case <-ctx.Done():
			end()
			return nil, nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// startEvery is how often a bot that is just starting is asked whether it is
// there.
const startEvery = 20 * time.Millisecond

// readPair reads a pair from a file or standard input.
func readPair(env Env, path string) (first, second string, err error) {
	var data []byte
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(env.Stdin, pairMax))
	} else {
		var f *os.File
		if f, err = os.Open(path); err == nil { //nolint:gosec // the person names it
			data, err = io.ReadAll(io.LimitReader(f, pairMax))
			_ = f.Close()
		}
	}
	if err != nil {
		return "", "", &fault.Error{
			Kind: fault.Invalid, Reason: "pair_file", Op: "cli.rotate", Err: err,
			User: "The file with the pair cannot be read.", Fix: "Nothing was sealed. Give the pair again.",
		}
	}
	lines := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' })
	clear(data)
	if len(lines) == 2 && !strings.Contains(lines[0]+lines[1], "=") {
		return lines[0], lines[1], nil
	}
	return strings.Join(lines, "\n"), "", nil // NAME=value lines are taken apart by the engine
}

// pairMax bounds what is read, in bytes.
const pairMax = 4096
