package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// TestMain makes the program bot a command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bot": func() {
			os.Exit(Run(context.Background(), Env{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now}))
		},
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"newkey": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(app.WriteStateKey(ts.MkAbs(args[0]))) },
			"seed":   func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(seed(ts.MkAbs(args[0]))) },
			"edit":   func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(edit(ts.MkAbs(args[0]))) },
			"hold":   func(ts *testscript.TestScript, _ bool, args []string) { hold(ts, ts.MkAbs(args[0])) },
			"anchor": func(ts *testscript.TestScript, _ bool, args []string) { anchor(ts, ts.MkAbs(args[0])) },
			"sealed": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(sealed(ts.MkAbs(args[0]), ts.ReadFile(args[1])))
			},
			"keyname": keyName,
			"serve":   func(ts *testscript.TestScript, _ bool, args []string) { serve(ts, ts.MkAbs(args[0])) },
			"shut":    func(ts *testscript.TestScript, _ bool, _ []string) { shut(ts) },
		},
		RequireExplicitExec: true,
	})
}

// exits runs a program and compares its exit code: exits CODE PROGRAM ARGS….
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %v: %v", args[1:], err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("%v ended with %d, want %s", args[1:], got, want)
	}
}

// seed writes a state file with three audit rows, a rotation that is open and
// a record of an earlier one.
func seed(path string) error {
	ctx := context.Background()
	store, err := state.Open(ctx, state.Config{Path: path})
	if err != nil {
		return err
	}
	defer store.Close()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	row := rotation.Row{At: at, Rotation: "r000000001", KeySet: "prod", Actor: "ada@raxx.app", Action: "secret.rotate.started"}
	step := row
	step.Step, step.Action, step.Context = rotation.StepPrecheck, "secret.rotate.step", map[string]any{"state": "running"}
	ext, err := state.NewChain(store).Extend(ctx, []rotation.Row{row, step, {At: at, Actor: "keyturn", Action: "secret.rotate.denied"}})
	if err != nil {
		return err
	}
	open := rotation.Rotation{ID: "r000000001", KeySet: "prod", Trigger: rotation.TriggerScheduled, Operator: rotation.Actor{ID: "U0ADA", Admin: "ada@raxx.app"}, Opened: at}
	for i, name := range rotation.StepNames() {
		open.Steps = append(open.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	open.Steps[0].State, open.Steps[0].WaitsFor = rotation.Running, "U0ADA"
	ops := ext.Then
	for key, v := range map[string]any{
		"rotation/r000000001": open,
		"keyset/prod":         rotation.Record{KeySet: "prod", Completed: at.AddDate(0, -6, 0), Last: "r000000000", NextDue: "2026-05-05", Exposed: []int64{41000}},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		ops = append(ops, rotation.Op{Key: key, Value: b})
	}
	ops = append(ops, rotation.Op{Key: "active/prod", Value: []byte("r000000001")})
	_, err = store.Txn(ctx, ext.If, ops)
	return err
}

// edit changes who did what in the second audit row.
func edit(path string) error {
	ctx := context.Background()
	store, err := state.Open(ctx, state.Config{Path: path})
	if err != nil {
		return err
	}
	defer store.Close()
	key := fmt.Sprintf("audit/%016d", 2)
	kv, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	_, err = store.Txn(ctx, nil, []rotation.Op{{Key: key, Value: bytes.Replace(kv.Value, []byte("ada@"), []byte("eve@"), 1)}})
	return err
}

// hold keeps the state open, as a running bot does, until the script ends.
func hold(ts *testscript.TestScript, path string) {
	store, err := state.Open(context.Background(), state.Config{Path: path})
	ts.Check(err)
	ts.Defer(func() { ts.Check(store.Close()) })
}

// sealed seals a pair into the state for the identity in a key file.
func sealed(path, key string) error {
	ctx := context.Background()
	store, err := state.Open(ctx, state.Config{Path: path})
	if err != nil {
		return err
	}
	defer store.Close()
	sealer, err := state.LoadSealer(ctx, store, secret.New(key))
	if err != nil {
		return err
	}
	blob, err := sealer.Seal(rotation.Ref{Rotation: "r000000001", KeySet: "prod", Field: "old"}, rotation.Pair{KeyID: secret.New("PKTEST"), Secret: secret.New("test")})
	if err != nil {
		return err
	}
	_, err = store.Txn(ctx, nil, []rotation.Op{{Key: "sealed/r000000001/old", Value: blob}})
	return err
}

// keyName sets a variable to how the public key in a key file begins: keyname
// VARIABLE FILE.
func keyName(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if name, ok := strings.CutPrefix(line, "# public key: "); ok {
			ts.Setenv(args[0], name[:16])
			return
		}
	}
	ts.Fatalf("%s does not say which public key it has", args[1])
}

// serve runs a bot until shut, or until the script ends.
func serve(ts *testscript.TestScript, path string) {
	end, err := runBot(path)
	ts.Check(err)
	running.Store(ts.Getenv("WORK"), end)
	ts.Defer(end)
}

// runBot is a running bot, as far as a command that reads can tell: it holds the
// state, answers on the socket beside it, and commits without a pause.
func runBot(path string) (end func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	store, err := state.Open(ctx, state.Config{Path: path})
	if err != nil {
		cancel()
		return nil, err
	}
	server, err := control.Listen(ctx, control.Config{
		Path: filepath.Join(filepath.Dir(path), "keyturn.sock"), Engine: rotation.New(rotation.Config{Store: store, Now: time.Now}),
		Record: served{store}, Connected: func() bool { return false }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		cancel()
		return nil, errors.Join(err, store.Close())
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Run(ctx) })
	for w := range 2 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				ext, err := state.NewChain(store).Extend(ctx, []rotation.Row{{At: time.Unix(int64(i), 0), Actor: "keyturn", Action: "secret.rotate.denied"}})
				if err != nil {
					continue
				}
				body := bytes.Repeat([]byte{byte(i)}, 100+(i*977)%9000)
				_, _ = store.Txn(ctx, ext.If, append(ext.Then, rotation.Op{Key: fmt.Sprintf("load/%d/%d", w, i%40), Value: body}))
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = store.Close()
	}), nil
}

// running has the bots that serve started, by the script's folder.
var running sync.Map

// shut ends the bot that serve started.
func shut(ts *testscript.TestScript) {
	end, ok := running.LoadAndDelete(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no bot runs")
	}
	end.(func())()
}

// served is the record of a running bot.
type served struct{ store *state.Store }

func (s served) Snapshot(ctx context.Context, w io.Writer) error { return s.store.Snapshot(ctx, w) }

func (s served) Export(ctx context.Context, after uint64, w io.Writer) error {
	return state.ExportAfter(ctx, s.store, after, w)
}

func (s served) Verify(ctx context.Context) control.Verdict {
	got, err := state.Verify(ctx, s.store, nil)
	return control.Verdict{Intact: err == nil, Rows: got.Rows, Head: got.Head}
}

// anchor sets ANCHOR to what a witness of the whole record saw.
func anchor(ts *testscript.TestScript, path string) {
	ctx := context.Background()
	store, err := state.Open(ctx, state.Config{Path: path, ReadOnly: true})
	ts.Check(err)
	defer store.Close()
	got, err := state.Verify(ctx, store, nil)
	ts.Check(err)
	ts.Setenv("ANCHOR", fmt.Sprintf("%d:%s", got.Rows, got.Head))
}

func TestVersionLine(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "3f1c"}, {Key: "vcs.modified", Value: "true"}}}
	if got, want := versionLine(info, true), "keyturn v1.2.0, commit 3f1c with changes, go1"; !strings.HasPrefix(got, want) {
		t.Errorf("versionLine = %q, want %q…", got, want)
	}
	if got, want := versionLine(nil, false), "keyturn (devel), commit unknown, go1"; !strings.HasPrefix(got, want) {
		t.Errorf("versionLine = %q, want %q…", got, want)
	}
}

// TestReadingCreatesNothing: a command that reads leaves a folder as it was.
func TestReadingCreatesNothing(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"status"}, {"audit", "verify"}, {"audit", "export"}, {"audit", "show", "r1"}, {"audit", "pack", "r1"}, {"backup", "copy.db"}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "bot.yml")
		if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), Env{Args: append(args, "--config", path), Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr, Now: time.Now})
		if code != 1 || !strings.Contains(stderr.String(), "There is no state in") || stdout.Len() > 0 {
			t.Errorf("bot %v = %d, %q, %q; want 1 and that there is no state", args, code, stdout.String(), stderr.String())
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Errorf("bot %v left %v, %v; want only bot.yml", args, files, err)
		}
	}
}

// minimal settings; no token is set.
const minimal = `slack: {ops_channel: C0RAXXOPS, ops_users: [U0ADA]}
state: {path: keyturn.db}
keysets:
  - name: prod
    infisical: {project_id: 3f1c0000-0000-4000-8000-000000000000, environment: prod, path: /, key_id: KEY_ID, secret: SECRET}
    consumers: [{name: api, kind: heroku, app: api}]
`
