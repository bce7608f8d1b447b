// Package cli is the program bot: its commands, their flags, what they print
// and the exit code they end with. It decides nothing about rotations.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
)

// Exit codes, beside 0.
const (
	exitFailed = 1 // it did not work, or what was checked is broken
	exitUsage  = 2 // wrong usage or bad settings; nothing was done
)

// An Env is what the program is given from outside.
type Env struct {
	Args   []string // without the program's name
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer // what was asked for
	Stderr io.Writer // problems; JSON log lines of run
	Now    func() time.Time
	Reload <-chan os.Signal // asks run to read its settings again; nil: nothing does
	Hooks  app.Hooks        // for crash tests; zero in the real program
}

// Run does what env.Args ask for, until ctx ends, and returns the exit code.
func Run(ctx context.Context, env Env) int {
	root := &cobra.Command{
		Use:           "bot",
		Short:         "Keyturn: a Slack bot that walks ops through rotating Alpaca paper trading keys",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return errors.New("no command was given") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetArgs(append([]string{}, env.Args...)) // nil would mean those of the process
	//nolint:contextcheck // cobra hands the context to each command
	root.AddCommand(
		initCommand(env), runCommand(env), doctorCommand(env), statusCommand(env), rotateCommand(env),
		auditCommand(env), backupCommand(env), restoreCommand(env), versionCommand(env),
	)
	cmd, err := root.ExecuteContextC(ctx)
	return report(env.Stderr, cmd, err)
}

// A failure ends a command with a code of its own.
type failure struct {
	err   error
	code  int
	shown bool // err has been shown already
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed marks err as one that has nothing to do with usage or settings.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, code: exitFailed}
}

// report shows err and returns the exit code that belongs to it. An error that
// no command marked is one of usage: cobra found it.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(stderr, problems.Error())
		return exitUsage
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if !f.shown {
			explain(stderr, f.err)
		}
		return f.code
	}
	fmt.Fprintf(stderr, "%s: %v\nSee: %s --help\n", cmd.CommandPath(), err, cmd.CommandPath())
	return exitUsage
}

// explain says what happened and what to do, in sentences where there are some.
// Names of files and what is in them come from outside: none moves the cursor.
func explain(stderr io.Writer, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		fmt.Fprintln(stderr, visible(err.Error()))
		return
	}
	fmt.Fprintln(stderr, visible(fault.UserText(f)))
	if fix := fault.FixText(f); fix != "" {
		fmt.Fprintln(stderr, visible(fix))
	}
}

// withConfig adds the flag that every command but version has.
func withConfig(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentFlags().String("config", "bot.yml", "file with the settings")
	return cmd
}

// configPath returns what withConfig's flag says.
func configPath(cmd *cobra.Command) string {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		panic(err) // the flag is not registered: a bug that any call shows
	}
	return path
}
