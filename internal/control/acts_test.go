package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// TestR90Acts: each act of a terminal becomes one call of the engine, with
// everything that it needs, once the gate has let the person in.
func TestR90Acts(t *testing.T) {
	t.Parallel()
	d := new(desk)
	c := attend(t, d, "U0ADA")
	const step = rotation.StepPropagate
	tests := []struct {
		in   control.Request
		call string
		want control.Answer
	}{
		{control.Request{Act: commands.ActStart, KeySet: "new"}, "start U0ADA new", control.Answer{Rotation: "r9", New: true}},
		{control.Request{Act: commands.ActReset, KeySet: "new", Why: "deleted"}, "reset U0ADA new deleted", control.Answer{Rotation: "r9"}},
		{control.Request{Act: commands.ActAdoptByHand, KeySet: "new", Item: "api", Why: "by hand"}, "adopt_by_hand U0ADA new api by hand", control.Answer{Rotation: "r9"}},
		{control.Request{Act: commands.ActUseFor, Rotation: "r1", KeySet: "staging"}, "use_for U0ADA r1 staging", control.Answer{Rotation: "r9"}},
		{
			control.Request{Act: commands.ActGoOn, Rotation: "r1", GoOn: &rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: []string{"a"}, Pass: []string{"ci"}, PassWhy: "dead"}},
			"go_on U0ADA r1 {Trigger:scheduled Reason: Ticks:[a] TestOrder:false Pass:[ci] PassWhy:dead}",
			control.Answer{Rotation: "r1", Problems: map[string]string{"ticks": "Tick all."}},
		},
		{control.Request{Act: commands.ActOpen, Rotation: "r1"}, "visited U0ADA r1", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActRetry, Rotation: "r1", Step: step, Round: 3, Item: "api"}, "retry U0ADA r1 propagate 3 api", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActRegenerate, Rotation: "r1", Step: step, Round: 3}, "regenerate U0ADA r1 propagate 3", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActRedo, Rotation: "r1", Step: step, Round: 3}, "redo U0ADA r1 propagate 3", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActAccept, Rotation: "r1", Step: step, Round: 3, Item: "api", Why: "gone"}, "accept U0ADA r1 propagate 3 api gone", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActStoreAnyway, Rotation: "r1", Round: 3, Why: "w"}, "store_anyway U0ADA r1 3 w", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActStoreLater, Rotation: "r1", Round: 3, Why: "w"}, "store_later U0ADA r1 3 w", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActAdopt, Rotation: "r1", Round: 3, Last4: "7Q2Z", Why: "w"}, "adopt U0ADA r1 3 7Q2Z w", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActItWasMe, Rotation: "r1", What: "reset"}, "it_was_me U0ADA r1 reset", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActTakeOver, Rotation: "r1"}, "take_over U0ADA r1", control.Answer{Rotation: "r1"}},
		{control.Request{Act: commands.ActCancel, Rotation: "r1", Why: "not now"}, "cancel U0ADA r1 not now", control.Answer{Rotation: "r1"}},
	}
	for i, tt := range tests {
		got, err := c.Act(t.Context(), tt.in)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("Act(%s) = %v (-want +got):\n%s", tt.in.Act, err, diff)
		}
		want := []string{"check U0ADA " + string(tt.in.Act), tt.call}
		if calls := d.said(); len(calls) != 2*i+2 || !slices.Equal(calls[2*i:], want) {
			t.Fatalf("after %s: calls = %q, want these last: %q", tt.in.Act, calls, want)
		}
	}
	if d.about != (commands.Subject{Rotation: "r1", KeySet: "prod", Exposed: true}) {
		t.Errorf("the gate was asked about %+v, want the exposed rotation of prod", d.about)
	}
	if len(d.rows)+len(d.notes) > 0 {
		t.Errorf("rows %v, notes %v: want none for somebody in ops", d.rows, d.notes)
	}
}

// TestBadRequests: what is refused reaches neither gate nor engine.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	d := new(desk)
	c := attend(t, d, "U0ADA")
	const key = "xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2"
	for name, tt := range map[string]struct {
		in     control.Request
		reason string
	}{
		"no act":          {control.Request{Rotation: "r1"}, "bad_request"},
		"paste as an act": {control.Request{Act: commands.ActPaste, Rotation: "r1"}, "bad_request"},
		"no rotation":     {control.Request{Act: commands.ActCancel, KeySet: "prod"}, "bad_request"},
		"no key set":      {control.Request{Act: commands.ActStart, Rotation: "r1"}, "bad_request"},
		"no answers":      {control.Request{Act: commands.ActGoOn, Rotation: "r1"}, "bad_request"},
		"unknown":         {control.Request{Act: commands.ActCancel, Rotation: "r404"}, "no_rotation"},
		"key as why":      {control.Request{Act: commands.ActCancel, Rotation: "r1", Why: key}, "key_in_reason"},
		"key as reason":   {control.Request{Act: commands.ActCancel, Rotation: "r1", Reason: key}, "key_in_reason"},
		"key in step 1":   {control.Request{Act: commands.ActGoOn, Rotation: "r1", GoOn: &rotation.GoOn{PassWhy: key}}, "key_in_reason"},
		"no such key set": {control.Request{Act: commands.ActStart, KeySet: "<!channel>", Reason: "x"}, "no_keyset"},
		"a long why":      {control.Request{Act: commands.ActCancel, Rotation: "r1", Why: strings.Repeat("x ", 251)}, "reason_too_long"},
		"a long reason":   {control.Request{Act: commands.ActStart, KeySet: "prod", Reason: strings.Repeat("x ", 251)}, "reason_too_long"},
		"more than 64 kB": {control.Request{Act: commands.ActCancel, Rotation: "r1", Why: strings.Repeat("x ", 40<<10)}, "bad_request"},
	} {
		_, err := c.Act(t.Context(), tt.in)
		if fault.ReasonOf(err) != tt.reason || fault.UserText(err) == "" || fault.FixText(err) == "" {
			t.Errorf("%s: %v (%q, %q), want %s with both texts", name, err, fault.UserText(err), fault.FixText(err), tt.reason)
		}
	}
	for _, call := range d.said() {
		if !strings.HasPrefix(call, "check U0ADA go_on") { // its answers are looked at last
			t.Errorf("a bad request led to %q", call)
		}
	}
}

// TestUnmapped: a login that nobody vouches for needs a reason, and leaves a row
// before it does anything (R89), and word in the channel.
func TestUnmapped(t *testing.T) {
	t.Parallel()
	d := new(desk)
	c := attend(t, d, "")
	about, err := c.About(t.Context())
	if err != nil || about.Person != "" || about.Login != control.Login() {
		t.Errorf("About = %+v, %v, want login %q and no person", about, err, control.Login())
	}
	retry := control.Request{Act: commands.ActRetry, Rotation: "r1", Step: rotation.StepStore, Round: 1}
	_, err = c.Act(t.Context(), retry)
	if fault.KindOf(err) != fault.Denied || fault.ReasonOf(err) != "reason_needed" || !strings.Contains(fault.UserText(err), control.Login()) {
		t.Errorf("without a reason: %v (%q), want reason_needed with the login", err, fault.UserText(err))
	}
	if calls := d.said(); len(calls) > 0 {
		t.Fatalf("without a reason: %q, want nothing", calls)
	}
	retry.Reason = "Slack is down"
	for range 2 {
		if _, err := c.Act(t.Context(), retry); err != nil {
			t.Fatal(err)
		}
	}
	me := "local:" + control.Login()
	once := []string{"row " + me, "queue " + channel, "retry " + me + " as break-glass r1 store 1 "}
	if calls := d.said(); !slices.Equal(calls, slices.Concat(once, once)) {
		t.Errorf("calls = %q, want twice %q", calls, once)
	}
	want := rotation.Row{At: noon, Rotation: "r1", KeySet: "prod", Actor: me, Action: "secret.rotate.breakglass", Context: map[string]any{"act": "retry", "why": "Slack is down", "login": control.Login()}}
	if diff := cmp.Diff(want, d.rows[0]); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	note := rotation.Note{Kind: rotation.NoteBreakGlass, Rotation: "r1", KeySet: "prod", Data: map[string]string{"people": me, "what": "retry", "why": "Slack is down", "since": "2026-05-06T12:00:00Z"}}
	if diff := cmp.Diff(map[string]rotation.Note{"breakglass/r1/" + control.Login(): note}, d.notes); diff != "" {
		t.Errorf("notes: one for a login and a rotation (-want +got):\n%s", diff)
	}
}

// TestAboutWhatItDoes: an act that opens a rotation of one key set cannot pass the
// gate, and stand in the record, as one on the exposed rotation of another.
func TestAboutWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, act := range []commands.Act{commands.ActStart, commands.ActReset, commands.ActAdoptByHand} {
		d := new(desk)
		in := control.Request{Act: act, KeySet: "new", Rotation: "r1", Item: "api", Why: "w", Reason: "night"}
		if _, err := attend(t, d, "U0ADA").Act(t.Context(), in); err != nil || d.about != (commands.Subject{KeySet: "new"}) {
			t.Errorf("%s of new, naming r1 of prod: %v, the gate was asked about %+v, want new and nothing exposed", act, err, d.about)
		}
		if _, err := attend(t, d, "").Act(t.Context(), in); err != nil || len(d.rows) != 1 || d.rows[0].Rotation != "" || d.rows[0].KeySet != "new" {
			t.Errorf("%s as break-glass: %v, rows %+v, want one about new", act, err, d.rows)
		}
	}
}

// TestBlankReason: space is no reason, neither for an act nor for a pair.
func TestBlankReason(t *testing.T) {
	t.Parallel()
	d := new(desk)
	c := attend(t, d, "")
	const blank = " \t\n\u00a0 "
	_, actErr := c.Act(t.Context(), control.Request{Act: commands.ActTakeOver, Rotation: "r1", Reason: blank})
	_, pasteErr := c.Paste(t.Context(), "r1", rotation.Pair{KeyID: secret.New("PK1"), Secret: secret.New("s")}, blank)
	if fault.ReasonOf(actErr) != "reason_needed" || fault.ReasonOf(pasteErr) != "reason_needed" || len(d.said()) > 0 {
		t.Errorf("with a blank reason: %v, %v, calls %q, want reason_needed twice and nothing done", actErr, pasteErr, d.said())
	}
}

// TestR89BreakGlassFirst: no row or no place for the post, no act.
func TestR89BreakGlassFirst(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*desk{"row": {rowErr: errors.New("disk")}, "post": {noteErr: errors.New("disk")}} {
		c := attend(t, d, "")
		_, actErr := c.Act(t.Context(), control.Request{Act: commands.ActTakeOver, Rotation: "r1", Reason: "night"})
		_, pasteErr := c.Paste(t.Context(), "r1", rotation.Pair{KeyID: secret.New("PK1"), Secret: secret.New("s")}, "night")
		if actErr == nil || pasteErr == nil {
			t.Errorf("without a %s: %v, %v, want errors", name, actErr, pasteErr)
		}
		if calls := d.said(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "take") || strings.HasPrefix(c, "paste") }) {
			t.Errorf("without a %s: %q, want no act", name, calls)
		}
	}
}

// TestGate: the ops rule stands for people whom local_users names. Only where
// Slack does not say does a reason open the way.
func TestGate(t *testing.T) {
	t.Parallel()
	no := &fault.Error{Kind: fault.Denied, Reason: "not_ops", User: "Only ops.", Fix: "Ask ops."}
	silent := &fault.Error{Kind: fault.Unknown, Reason: "membership_unknown", User: "Slack has not said.", Fix: "Try again."}
	tests := []struct {
		name   string
		refuse error
		reason string
		want   string // reason of the refusal
		row    bool
	}{
		{name: "not in ops", refuse: no, want: "not_ops"},
		{name: "not in ops, with a reason", refuse: no, reason: "please", want: "not_ops"},
		{name: "Slack does not say", refuse: silent, want: "membership_unknown"},
		{name: "Slack does not say, with a reason", refuse: silent, reason: "it is down", row: true},
	}
	for _, tt := range tests {
		d := &desk{refuse: tt.refuse}
		c := attend(t, d, "U0ADA")
		_, err := c.Act(t.Context(), control.Request{Act: commands.ActTakeOver, Rotation: "r1", Reason: tt.reason})
		if tt.want != "" && fault.ReasonOf(err) != tt.want || tt.want == "" && err != nil {
			t.Errorf("%s: %v, want reason %q", tt.name, err, tt.want)
		}
		var acts []string
		for _, call := range d.said() {
			if strings.HasPrefix(call, "take_over") {
				acts = append(acts, call)
			}
		}
		var done []string
		if tt.want == "" {
			done = []string{"take_over U0ADA as break-glass r1"} // only that opens the way here
		}
		if !slices.Equal(acts, done) {
			t.Errorf("%s: done %q, want %q", tt.name, acts, done)
		}
		if len(d.rows) != map[bool]int{true: 1}[tt.row] || tt.row && (d.rows[0].Actor != "ada@raxx.app" || d.rows[0].Slack != "U0ADA") {
			t.Errorf("%s: rows = %+v, want one of ada: %t", tt.name, d.rows, tt.row)
		}
	}
}

// TestR82Paste: the pair arrives whole, and nobody else sees it.
func TestR82Paste(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	d := new(desk)
	c := attendWith(t, d, "U0ADA", slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	pair := rotation.Pair{KeyID: secret.New("PKCANARY0000000001"), Secret: secret.New("canary/Secret+<&>\"\\00000000000000000000")}
	got, err := c.Paste(t.Context(), "r1", pair, "")
	want := control.Pasted{Candidate: rotation.Candidate{N: 2, Last4: "0001"}, Again: true, Warning: "long"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Paste = %v (-want +got):\n%s", err, diff)
	}
	if !d.pair.Equal(pair) {
		t.Error("the engine got another pair")
	}
	d.actErr = &fault.Error{Kind: fault.Transient, Reason: "state_busy", User: "Busy.", Fix: "Again."}
	_, err = c.Paste(t.Context(), "r1", pair, "")
	if fault.ReasonOf(err) != "state_busy" {
		t.Errorf("Paste = %v, want state_busy", err)
	}
	_, wrong := c.Paste(t.Context(), "r404", pair, "")
	_, nothing := c.Paste(t.Context(), "", pair, "")
	_, big := c.Paste(t.Context(), "r1", rotation.Pair{KeyID: pair.KeyID, Secret: secret.New(strings.Repeat("canary", 20<<10))}, "")
	for _, err := range []error{err, wrong, nothing, big} {
		if err == nil || strings.Contains(strings.ToLower(fmt.Sprintf("%+v %s %s", err, fault.UserText(err), fault.FixText(err))), "canary") {
			t.Errorf("error %v, want one that does not quote the pair", err)
		}
	}
	if strings.Contains(strings.ToLower(log.String()), "canary") {
		t.Errorf("the log has the pair: %s", log.String())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestHangUp: an act goes on when the terminal is closed in the middle of it.
func TestHangUp(t *testing.T) {
	t.Parallel()
	d := &desk{hold: make(chan struct{}), held: make(chan struct{})}
	c := attend(t, d, "U0ADA")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Act(ctx, control.Request{Act: commands.ActRetry, Rotation: "r1", Step: rotation.StepStore})
		ended <- err
	}()
	<-d.held
	cancel()
	if err := <-ended; fault.KindOf(err) != fault.Unknown {
		t.Errorf("Act = %v, want unknown: it may be done", err)
	}
	close(d.hold)
	for deadline := time.Now().Add(5 * time.Second); !slices.Contains(d.said(), "retry U0ADA r1 store 0 "); {
		if time.Now().After(deadline) {
			t.Fatalf("calls = %q, want the retry", d.said())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	d := &desk{changed: make(chan struct{}), rev: 7}
	c := attend(t, d, "U0ADA")
	got, err := c.Look(t.Context(), "r1", 0)
	want := full()
	want.Rotation.Rev = 7
	if diff := cmp.Diff(want, got.Overview); err != nil || diff != "" {
		t.Fatalf("Look = %v (-want +got):\n%s", err, diff)
	}
	if !got.Exposure.Running || got.Rev != 7 {
		t.Errorf("exposure %+v at %d, want it to run at 7", got.Exposure, got.Rev)
	}
	next := make(chan control.View, 1)
	go func() {
		v, err := c.Look(t.Context(), "r1", 7)
		if err != nil {
			t.Error(err)
		}
		next <- v
	}()
	select {
	case v := <-next:
		t.Fatalf("Look answered at %d without a change", v.Rev)
	case <-time.After(50 * time.Millisecond):
	}
	d.change()
	if v := <-next; v.Rev != 8 {
		t.Errorf("Look after the change = %d, want 8", v.Rev)
	}
	if v, err := c.Look(t.Context(), "r0", 3); err != nil || v.Overview.Rotation.Outcome != rotation.Completed {
		t.Errorf("Look at a closed one = %+v, %v, want it at once", v.Overview.Rotation.Outcome, err)
	}
	if _, err := c.Look(t.Context(), "r404", 0); fault.ReasonOf(err) != "no_rotation" {
		t.Errorf("Look at none = %v, want no_rotation", err)
	}
}

// TestLookEnds: a bot that stops does not wait for those who look.
func TestLookEnds(t *testing.T) {
	t.Parallel()
	d := &desk{changed: make(chan struct{}), rev: 7}
	started := make(chan struct{})
	ended := make(chan struct{})
	t.Run("bot", func(t *testing.T) { // stops when it ends
		c := attend(t, d, "U0ADA")
		if _, err := c.Look(t.Context(), "r1", 0); err != nil { // it answers
			t.Fatal(err)
		}
		go func() {
			defer close(ended)
			close(started)
			_, _ = c.Look(context.WithoutCancel(t.Context()), "r1", 7)
		}()
		<-started
	})
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("Look goes on although the bot has stopped")
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, control.Config{Engine: two{}, Record: paper{}})
	if _, err := c.Act(t.Context(), control.Request{Act: commands.ActStart, KeySet: "new"}); fault.ReasonOf(err) != "bot_answer" {
		t.Errorf("Act without an engine = %v, want bot_answer", err)
	}
	if _, err := c.Health(t.Context()); fault.ReasonOf(err) != "no_health" {
		t.Errorf("Health of a bot that does not say = %v, want no_health", err)
	}
	want := control.Health{Ready: true, Parts: []control.Part{{Name: "sentinel/prod", OK: true, Last: noon, EveryMS: 60000}, {Name: "slack", Detail: "no socket", Fix: "Wait."}}}
	c, _ = serve(t, control.Config{Engine: two{}, Record: paper{}, Health: func(context.Context) control.Health { return want }})
	got, err := c.Health(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Health = %v (-want +got):\n%s", err, diff)
	}
}
