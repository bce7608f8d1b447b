package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// flags answer what rotate was called with.
type flags struct {
	env    Env
	in     answers
	pasted bool
}

func (f *flags) gate(_ context.Context, o rotation.Overview) (rotation.GoOn, string, error) {
	in := rotation.GoOn{Trigger: trigger(o, f.in.trigger), Reason: f.in.reason, TestOrder: f.in.testOrder}
	for _, p := range rotation.Prerequisites() {
		in.Ticks = append(in.Ticks, p.Name)
	}
	if f.in.pass {
		in.Pass, in.PassWhy = failedChecks(o), f.in.reason
	}
	return in, choiceGoOn, nil
}

func (f *flags) pair(ctx context.Context) (rotation.Pair, error) {
	if f.pasted {
		return rotation.Pair{}, errStop // there was one pair, and that was not the right one
	}
	f.pasted = true
	return readPair(ctx, f.env, f.in.pairFile)
}

func (f *flags) offer(context.Context, rotation.Overview, []rotation.Offer) (*rotation.Offer, string, string, error) {
	return nil, "", "", errStop
}

func (f *flags) text(context.Context, string, string) (string, error) {
	if f.in.reason == "" {
		fmt.Fprintln(f.env.Stdout, "Give it with --reason.")
		return "", errStop
	}
	return f.in.reason, nil
}

func (*flags) confirm(context.Context, string) (bool, error) { return true, nil }

// pairMax bounds what is read, in bytes.
const pairMax = 4096

// readPair reads a pair from a file, or from standard input if path is "-". A pipe
// that nobody writes to is waited for until ctx ends; what reads it is left
// behind then, because a read cannot be taken back.
func readPair(ctx context.Context, env Env, path string) (rotation.Pair, error) {
	type content struct {
		data []byte
		open bool // others can read it
		err  error
	}
	read := make(chan content, 1)
	go func() {
		var c content
		if path == "-" {
			c.data, c.err = io.ReadAll(io.LimitReader(env.Stdin, pairMax))
		} else {
			c.data, c.open, c.err = readStart(path)
		}
		read <- c
	}()
	select {
	case c := <-read:
		if c.err != nil {
			return rotation.Pair{}, &fault.Error{
				Kind: fault.Invalid, Reason: "pair_file", Op: "cli.rotate", Err: c.err,
				User: "The new pair cannot be read from " + path + ".", Fix: "Nothing was sealed. Put the pair there and go on.",
			}
		}
		defer clear(c.data)
		if c.open { // no reason to stop: the old pair may be dead
			fmt.Fprintf(env.Stderr, "Warning: other users of this machine can read %s, and with it the new pair. Run: chmod 600 %s\n", visible(path), visible(path))
		}
		return splitPair(c.data), nil
	case <-ctx.Done():
		return rotation.Pair{}, ctx.Err()
	}
}

// readStart reads the first bytes of a file, and reports whether others than its
// owner can read it too.
func readStart(path string) (data []byte, open bool, err error) {
	f, err := os.Open(path) //nolint:gosec // the person names it
	if err != nil {
		return nil, false, fmt.Errorf("open pair file: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil {
		open = info.Mode().IsRegular() && info.Mode().Perm()&0o044 != 0 // a pipe has no content to read twice
	}
	data, err = io.ReadAll(io.LimitReader(f, pairMax))
	return data, open, err
}

// splitPair takes two bare lines apart. Anything else is left to the engine, which
// knows NAME=value lines and says what is wrong with the rest.
func splitPair(data []byte) rotation.Pair {
	lines := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 2 && !strings.Contains(lines[0], "=") {
		return rotation.Pair{KeyID: secret.New(lines[0]), Secret: secret.New(lines[1])}
	}
	return rotation.Pair{KeyID: secret.New(strings.Join(lines, "\n"))}
}
