// Package sandbox runs the real bot against simulated services: a World of
// simulators, the bot as a child process, a scripted Operator who knows only
// what Slack shows, and a Report that compares the outside world with what it
// should be. It calls nothing inside the bot but its command line.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
)

// Exit codes, beside 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

// logTail is how many bytes of the bot's log are shown after a failure.
const logTail = 8 << 10

// An Env is what the program is given from outside.
type Env struct {
	Args   []string // without the program's name
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time
}

// IsBot reports whether this process was started by [World.StartBot]. Its main
// must then call [Main] and nothing else.
func IsBot(args []string) bool { return len(args) > 0 && args[0] == childArg }

// Main does what env.Args ask for and returns the exit code: 0 if everything
// ended as it should, 1 if not, 2 for wrong usage.
func Main(ctx context.Context, env Env) int {
	if IsBot(env.Args) {
		return beBot(ctx, env)
	}
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(env.Stderr)
	auto := flags.Bool("auto", false, "a scripted operator does one rotation")
	asJSON := flags.Bool("json", false, "with --auto: one JSON object a line")
	name := flags.String("fault", "", "with --auto: what goes wrong on the way; list shows them")
	listen := flags.String("listen", defaultListen, "where the page is served; loopback only")
	drill := flags.String("drill", "", "the page as a drill, with a score card; list shows them")
	if err := flags.Parse(env.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	switch {
	case flags.NArg() > 0:
		fmt.Fprintf(env.Stderr, "sandbox: unexpected %q\n", flags.Arg(0))
		return exitUsage
	case *auto && *drill != "":
		fmt.Fprintln(env.Stderr, "sandbox: --drill is for a person in a browser, without --auto")
		return exitUsage
	case !*auto && (*asJSON || *name != ""):
		fmt.Fprintln(env.Stderr, "sandbox: --json and --fault go with --auto: sandbox --auto [--json] [--fault NAME]")
		return exitUsage
	case *drill == "list":
		return listDrills(env)
	case !*auto:
		return runPage(ctx, env, *listen, *drill)
	case *name == "list":
		return listFaults(env) //nolint:contextcheck // a check after the play has a time of its own
	}
	fault, ok := FaultByName(*name) //nolint:contextcheck // a check after the play has a time of its own
	if !ok {
		fmt.Fprintf(env.Stderr, "sandbox: there is no fault %q; see: sandbox --auto --fault list\n", *name)
		return exitUsage
	}
	return runAuto(ctx, env, *asJSON, fault)
}

// listFaults shows every fault, a line each.
func listFaults(env Env) int {
	for _, f := range Faults() {
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s\n", f.Name, f.What); err != nil {
			return exitFailed
		}
	}
	return 0
}

// listDrills shows every drill, a line each.
func listDrills(env Env) int {
	for _, s := range scenarios() {
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s\n", s.Name, s.Title); err != nil {
			return exitFailed
		}
	}
	return 0
}

// runPage serves the page, as a drill if one is named.
func runPage(ctx context.Context, env Env, listen, drill string) int {
	if drill == "" {
		return serve(ctx, env, listen, nil)
	}
	s, ok := scenarioByName(drill)
	if !ok {
		fmt.Fprintf(env.Stderr, "sandbox: there is no drill %q; see: sandbox --drill list\n", drill)
		return exitUsage
	}
	return serve(ctx, env, listen, s)
}

// runAuto does one rotation, with what goes wrong on the way, and shows it.
func runAuto(ctx context.Context, env Env, asJSON bool, fault Fault) int {
	w, err := NewWorld(env.Now)
	if err != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", err)
		return exitFailed
	}
	start := env.Now()
	say := func(line string) {
		if !asJSON {
			fmt.Fprintf(env.Stdout, "%6.2f s  %s\n", env.Now().Sub(start).Seconds(), line)
		}
	}
	report := w.Play(ctx, fault, say)
	if asJSON {
		err = report.writeJSON(env.Stdout)
	} else {
		err = report.writeText(env.Stdout)
	}
	if problem := report.Problem(); problem != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", problem)
		fmt.Fprintf(env.Stderr, "the end of the bot's log:\n%s\n", tail(w.Log()))
		err = errors.Join(err, problem)
	}
	if closed := w.Close(); closed != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", closed)
		err = errors.Join(err, closed)
	}
	if err != nil {
		return exitFailed
	}
	return 0
}

// tail returns the last lines of a file.
func tail(path string) []byte {
	data, err := os.ReadFile(path) //nolint:gosec // our own log
	if err != nil {
		return []byte(err.Error())
	}
	if len(data) > logTail {
		data = data[len(data)-logTail:]
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return data
}

// Bot runs a command of the bot in this process, with the world's settings, and
// returns what it printed and its exit code. It is for commands that read.
func (w *World) Bot(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, problems bytes.Buffer
	args = append(args, "--config", w.Config())
	code = cli.Run(ctx, cli.Env{Args: args, Getenv: w.Getenv, Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &problems, Now: w.now})
	return out.String(), problems.String(), code
}

// An auditRow is the part of an exported audit row that is looked at.
type auditRow struct {
	Seq      uint64         `json:"seq"`
	KeySet   string         `json:"keyset"`
	Rotation string         `json:"rotation"`
	Step     string         `json:"step"`
	Actor    string         `json:"actor"`
	Action   string         `json:"action"`
	Context  map[string]any `json:"context"`
}

// auditRows exports the record and decodes it.
func (w *World) auditRows(ctx context.Context) ([]auditRow, error) {
	out, problem, code := w.Bot(ctx, "audit", "export")
	if code != 0 {
		return nil, fmt.Errorf("audit export ended with %d: %s", code, flat(problem))
	}
	var rows []auditRow
	for dec := json.NewDecoder(bytes.NewBufferString(out)); ; {
		var row auditRow
		if err := dec.Decode(&row); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("read audit export: %w", err)
		}
		rows = append(rows, row)
	}
}
