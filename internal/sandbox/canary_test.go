package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/state"
)

// A canary keeps everything that comes out of a bot while it is used: what it
// sends, answers, prints and writes. What it finds there of the secrets that it
// was given is a leak.
type canary struct {
	w       *World
	wires   []*wire
	address string // of the bot's own endpoint; "" if it is switched off
	empty   bool   // nothing happened that the record has a row for
	alone   bool   // a command does everything, and Slack hears of nothing
	echoed  string // value that a person saw at the terminal while they typed it

	mu     sync.Mutex
	sinks  map[string][]byte
	pid    string    // of the running bot, as far as known
	looked time.Time // at the running bot, last
}

// glance is how long a look at the running bot is enough.
const glance = 200 * time.Millisecond

// sandboxSays is the sink into which goes what a person reads while they watch.
const sandboxSays = "what the sandbox says"

// terminalShows is the sink into which goes all that a command wrote to a terminal.
const terminalShows = "what the terminal showed"

// canaries counts them: each bot listens on an address of its own, where no
// outgoing connection can be in the way.
var canaries atomic.Int32

// newCanary has a world keep what the bot sends, and the bot write all that it
// can write. The bot must not run yet.
func newCanary(t *testing.T, w *World) *canary {
	t.Helper()
	c := tapped(w)
	settings, err := os.ReadFile(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(settings), "keysets:\n", "log: {level: debug}\nkeysets:\n", 1)
	if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is this machine
		n := canaries.Add(1)
		c.address = fmt.Sprintf("127.7.%d.%d:9464", os.Getpid()%250+1, n%250+1)
		text = strings.Replace(text, `listen: ""`, `listen: "`+c.address+`"`, 1)
	}
	if err := os.WriteFile(w.Config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// tapped returns a canary that leaves the settings as they are.
func tapped(w *World) *canary { return &canary{w: w, wires: tap(w), sinks: map[string][]byte{}} }

// say is told what happens, and looks at the running bot now and then.
func (c *canary) say(line string) {
	c.keep(sandboxSays, []byte(line+"\n"))
	if time.Since(c.looked) < glance {
		return
	}
	c.looked = time.Now()
	if c.address != "" {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if body, err := get("http://" + c.address + path); err == nil {
				c.keep("the answer to "+path, body)
			}
		}
	}
	c.lookAtProcess()
}

// lookAtProcess keeps what others on the machine can see of the running bot. The
// bot starts no process, so there is none that could be handed a secret.
func (c *canary) lookAtProcess() {
	if c.pid == "" || !c.isBot(c.pid) {
		c.pid = c.find()
	}
	if c.pid == "" {
		return
	}
	c.keepFile("a command line", filepath.Join("/proc", c.pid, "cmdline"))
	c.keepFile(environmentOf, filepath.Join("/proc", c.pid, "environ"))
	children, _ := filepath.Glob(filepath.Join("/proc", c.pid, "task", "*", "children"))
	for _, path := range children {
		c.keepFile("children", path)
	}
}

// environmentOf is the sink that the tokens are in, because they were put there.
const environmentOf = "the environment of the bot"

// find returns the bot of this world; "" if it does not run, and where /proc is
// not.
func (c *canary) find() string {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range all {
		if pid := filepath.Base(path); c.isBot(pid) {
			return pid
		}
	}
	return ""
}

// isBot reports whether the command line of a process names the settings of this
// world.
func (c *canary) isBot(pid string) bool {
	data, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	return bytes.Contains(data, []byte(c.w.Config()))
}

func (c *canary) keep(name string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sinks[name] = append(c.sinks[name], data...)
}

func (c *canary) keepFile(name, path string) {
	if data, err := os.ReadFile(path); err == nil {
		c.keep(name, data)
	}
}

// judge searches everything. The bot must have stopped.
func (c *canary) judge(t *testing.T) {
	t.Helper()
	key, err := os.ReadFile(c.w.stateKey())
	if err != nil {
		t.Fatal(err)
	}
	known := tokens(c.w, stateKey(string(key)))
	discover(c.w, c.wires, known)
	values := map[string]string{}
	for name, p := range known {
		values[name] = p.value
	}
	l, err := newLeakSearch(values)
	if err != nil {
		t.Fatal(err)
	}
	c.files(t)
	c.commands(t)
	for _, e := range c.w.Slack.Journal() { // acks and frames too, and forms decoded
		c.keep("what the bot sent to Slack ("+e.Method+")", withoutToken(e.Body))
	}
	for _, name := range slices.Sorted(maps.Keys(c.sinks)) {
		for _, f := range l.find(c.sinks[name]) {
			if name == environmentOf && known[f.Name].given || name == terminalShows && known[f.Name].value == c.echoed {
				continue
			}
			t.Errorf("leak: %s is in %s", f, name)
		}
	}
	if started := c.sinks["children"]; len(started) > 0 {
		t.Errorf("the bot has children: %s", started)
	}
	c.requests(t, l, known)
}

// requests searches what went to the services: a value may be in the parts that
// are its home only.
func (c *canary) requests(t *testing.T, l *leakSearch, known map[string]planted) {
	t.Helper()
	arrived := map[string]bool{}
	for _, line := range c.wires {
		for _, r := range line.all() {
			for _, p := range parts(r) {
				for _, f := range l.find(p.data) {
					if known[f.Name].mayGo(line.to, p.what) {
						arrived[f.Name] = true
						continue
					}
					t.Errorf("leak: %s went to %s in the %s of %s", f, line.to, p.what, r.Method)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) { // else the search would be blind
		if home := known[name].home; home[toSlack] != "" && !arrived[name] && !c.alone {
			t.Errorf("%s was never seen on its way to Slack: the search is blind", name)
		}
	}
}

// withoutToken drops what slack-go sends with each form.
func withoutToken(body []byte) []byte {
	lines := bytes.SplitAfter(body, []byte("\n"))
	return bytes.Join(slices.DeleteFunc(lines, func(l []byte) bool { return bytes.HasPrefix(l, []byte("token=")) }), nil)
}

// files keeps every file that the bot wrote or could have written, and a backup
// of its state.
func (c *canary) files(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(c.w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == c.w.stateKey() {
			return err
		}
		data, err := os.ReadFile(path)
		c.keep("the file "+d.Name(), data)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	store, err := state.Open(t.Context(), state.Config{Path: c.w.stateFile(), ReadOnly: true})
	if err != nil {
		t.Error(err)
		return
	}
	var backup bytes.Buffer
	if err := errors.Join(store.Snapshot(t.Context(), &backup), store.Close()); err != nil {
		t.Error(err)
	}
	c.keep("a backup", backup.Bytes())
}

// commands keeps what the bot's commands print.
func (c *canary) commands(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"audit", "export"}, {"audit", "verify"}, {"status"}, {"status", "--json"}} {
		c.command(t, args...)
	}
}

// command keeps what one of the bot's commands prints, which must be something
// but for an export of an empty record.
func (c *canary) command(t *testing.T, args ...string) {
	t.Helper()
	stdout, stderr, _ := c.w.Bot(t.Context(), args...)
	if mayBeEmpty := c.empty && slices.Equal(args, []string{"audit", "export"}); stdout == "" && !mayBeEmpty {
		t.Errorf("bot %s printed nothing: %s", strings.Join(args, " "), stderr)
	}
	c.keep("bot "+strings.Join(args, " "), []byte(stdout+stderr))
}

// stateKey returns the secret line of a file of identities.
func stateKey(file string) string {
	for line := range strings.Lines(file) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func get(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
