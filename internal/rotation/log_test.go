package rotation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// lines returns the lines about one rotation, each as its message and what says
// which change it is, and fails the test if one lacks the rotation or the step.
func (j *journal) lines(t *testing.T, id rotation.ID) []string {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []string
	for line := range strings.Lines(j.text.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["rotation"] != string(id) || !slices.Contains(rotation.StepNames(), rotation.StepName(fmt.Sprint(m["step"]))) {
			t.Errorf("a line without rotation and step: %s", line)
		}
		if m["level"] == "DEBUG" {
			continue
		}
		text := fmt.Sprintf("%s %s", m["step"], m["msg"])
		for _, key := range []string{"state", "round", "outcome", "from", "to", "candidate"} {
			if v, ok := m[key]; ok {
				text += fmt.Sprintf(" %v", v)
			}
		}
		all = append(all, text)
	}
	return all
}

// logged runs a test with a log that is kept.
func logged(t *testing.T, f func(*testing.T, *bench, *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, j := setUp(t, newWorld()), &journal{}
		defer b.close()
		b.stop()
		b.config = func(cfg *rotation.Config) {
			cfg.Log = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		b.start()
		f(t, b, j)
	})
}

// Every line of the engine about a rotation names it and the step, and each change
// of state is one line: none is missing, and none is there twice.
func TestLogOfRotation(t *testing.T) {
	logged(t, func(t *testing.T, b *bench, j *journal) {
		b.w.set(func() {
			b.w.applyFail = map[string][]error{"ci": {&fault.Error{Kind: fault.Denied, Reason: "no_permission", User: "It refuses."}}}
			b.w.loseSent, b.w.noBook = true, true // the test order is lost: step 6 fails
		})
		id := b.open()
		b.goOn(id, true)
		time.Sleep(time.Minute)
		b.must(b.engine.TakeOver(t.Context(), rotation.Actor{ID: "U0CYD"}, id))
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "ci")
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, b.round(id, rotation.StepPropagate), "ci"))
		b.fails(id, rotation.StepVerify, "test_order")
		b.must(b.engine.Accept(t.Context(), operator, id, rotation.StepVerify, b.round(id, rotation.StepVerify), "test_order", "looked at the book"))
		b.over(id)
		synctest.Wait()
		lines := j.lines(t, id)
		want := []string{
			"precheck rotation opened", "precheck step running 1", "precheck step over done", "generate step running 1",
			"generate operator changed U0ADA U0CYD", "generate step over done", "validate step running 1", "generate pair sealed 1", "validate step over done",
			"store step running 1", "store step over done",
		}
		// What follows runs side by side; so does the word of whoever pasted.
		rest := []string{
			"propagate step running 1", "propagate step over done", "verify step running 1", "verify step over done",
			"revoked step running 1", "revoked step over done", "record step running 1", "record step over done", "record rotation over completed",
		}
		if diff := cmp.Diff(sorted(want, rest), sorted(lines)); diff != "" {
			t.Errorf("lines, sorted (-want +got)\n%s\nall, as written:\n%s", diff, strings.Join(lines, "\n"))
		}
		if got := lines[len(lines)-1]; got != "record rotation over completed" {
			t.Errorf("the last line is %q, want how it ended", got)
		}
	})
}

// After a restart a step that goes on is one line, and a rotation that is cancelled
// another.
func TestLogOfRestartAndCancel(t *testing.T) {
	logged(t, func(t *testing.T, b *bench, j *journal) {
		id := b.open()
		b.goOn(id, false)
		synctest.Wait()
		b.stop()
		b.start()
		synctest.Wait()
		b.must(b.engine.Cancel(t.Context(), operator, id, "not today"))
		synctest.Wait()
		want := []string{
			"precheck rotation opened", "precheck step running 1", "precheck step over done", "generate step running 1",
			"generate step resumed 1", "generate rotation over cancelled",
		}
		if diff := cmp.Diff(sorted(want), sorted(j.lines(t, id))); diff != "" {
			t.Errorf("lines, sorted (-want +got)\n%s", diff)
		}
	})
}

// Going back to step 2 for another pair is a line for each step that it sets back.
func TestLogOfAnotherPair(t *testing.T) {
	logged(t, func(t *testing.T, b *bench, j *journal) {
		id := b.open()
		b.goOn(id, false)
		b.paste(id, typo(b.w.click("acc-1", "NEW1")))
		b.asked(id)
		synctest.Wait()
		want := []string{
			"precheck rotation opened", "precheck step running 1", "precheck step over done", "generate step running 1", "generate pair sealed 1",
			"generate step over done", "validate step running 1", "validate step set back", "generate step running 2",
		}
		if diff := cmp.Diff(sorted(want), sorted(j.lines(t, id))); diff != "" {
			t.Errorf("lines, sorted (-want +got)\n%s", diff)
		}
	})
}

// A step that fails is one line, with its cause; so are Retry and what follows.
func TestLogOfFailure(t *testing.T) {
	logged(t, func(t *testing.T, b *bench, j *journal) {
		id := b.open()
		b.goOn(id, false)
		old := b.w.vault.Pair
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.vault.Pair = pairOf("3RDX") })
		b.paste(id, live)
		b.fails(id, rotation.StepStore, "")
		synctest.Wait()
		b.w.set(func() { b.w.vault.Pair = old })
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepStore, b.round(id, rotation.StepStore), ""))
		b.over(id)
		synctest.Wait()
		var store []string
		for _, line := range j.lines(t, id) {
			if strings.HasPrefix(line, "store ") {
				store = append(store, line)
			}
		}
		want := []string{"store step running 1", "store step failed", "store step set back", "store step running 2", "store step over done"}
		if diff := cmp.Diff(want, store); diff != "" {
			t.Errorf("lines of step 4 (-want +got)\n%s", diff)
		}
		if !strings.Contains(j.text.String(), `"level":"ERROR","msg":"step failed"`) || !strings.Contains(j.text.String(), `"error":`) {
			t.Errorf("no error with its cause in\n%s", j.text.String())
		}
	})
}

func sorted(all ...[]string) []string { return slices.Sorted(slices.Values(slices.Concat(all...))) }
