// Command bot is Keyturn.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second signal ends the process at once
	signal.Ignore(syscall.SIGPIPE) // whoever reads the output may leave; the bot does not
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	code := run(ctx, again, os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the globals; exit codes are those of the command.
func run(ctx context.Context, again <-chan os.Signal, getenv func(string) string, stderr io.Writer) int {
	return cli.Run(ctx, cli.Env{Args: os.Args[1:], Getenv: getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: stderr, Now: time.Now, Reload: again})
}
