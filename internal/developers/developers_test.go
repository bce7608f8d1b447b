package developers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/developers"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	keyID  = "PKDEVELOPERS12345678"
	secKey = "s3cr3t-of-the-new-pair-0123456789abcdefgh"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A notifier keeps what was delivered, once for each key.
type notifier struct {
	mu     sync.Mutex
	fails  map[string]error // by person
	sent   map[string]rotation.Note
	people map[string]string // person by key
}

func newNotifier() *notifier {
	return &notifier{fails: map[string]error{}, sent: map[string]rotation.Note{}, people: map[string]string{}}
}

func (n *notifier) Reach(_ context.Context, to string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fails[to]
}

func (n *notifier) Send(_ context.Context, key, to string, note rotation.Note) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.fails[to]; err != nil {
		return err
	}
	if _, done := n.sent[key]; !done {
		n.sent[key], n.people[key] = note, to
	}
	return nil
}

func (n *notifier) keys() []string { return slices.Sorted(maps.Keys(n.sent)) }

func group(n *notifier) *developers.Group {
	return &developers.Group{
		Name: "local-dev", KeySet: "prod", Users: []string{"U0ADA", "U0BOB", "U0ADA"}, Place: "project p1, prod, /", Pull: developers.Pull{Project: "p1", Environment: "prod", Path: "/"},
		Names:    rotation.Names{KeyID: "ALPACA_PAPER_API_KEY_ID", Secret: "ALPACA_PAPER_API_SECRET_KEY"},
		Notifier: n, Now: func() time.Time { return start },
	}
}

func delivery(last *rotation.Receipt) rotation.Delivery {
	return rotation.Delivery{
		Rotation: "r0123456789", KeySet: "prod", Print: "print-1", Last: last,
		Pair: rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(secKey)},
	}
}

// R46: each developer is told, once, how to pull the new pair.
func TestApplyTellsEachOnceR46(t *testing.T) {
	n := newNotifier()
	g := group(n)
	rec, err := g.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	want := []string{"developers/r0123456789/local-dev/U0ADA/print-1", "developers/r0123456789/local-dev/U0BOB/print-1"}
	if diff := cmp.Diff(want, n.keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	wantNote := rotation.Note{
		Kind: rotation.NoteUpdate, Rotation: "r0123456789", KeySet: "prod", Consumer: "local-dev",
		Data: map[string]string{
			"place": "project p1, prod, /", "project_id": "p1", "environment": "prod", "path": "/", "key_id_name": "ALPACA_PAPER_API_KEY_ID",
			"secret_name": "ALPACA_PAPER_API_SECRET_KEY", "key_id_last4": "5678",
		},
	}
	if diff := cmp.Diff(wantNote, n.sent[want[0]]); diff != "" {
		t.Errorf("note (-want +got):\n%s", diff)
	}
	if got := n.people[want[1]]; got != "U0BOB" {
		t.Errorf("%s went to %q, want U0BOB", want[1], got)
	}
	proof, err := g.Verify(t.Context(), delivery(nil), rec)
	if err != nil || !proof.Done || proof.Detail != "informed 2 of 2; roll-call goes on" {
		t.Errorf("Verify = %+v, %v, want done, informed 2 of 2", proof, err)
	}
}

// R47: nothing that leaves this package holds a value.
func TestNothingHoldsAValueR47(t *testing.T) {
	n := newNotifier()
	g := group(n)
	rec, err := g.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	n.fails["U0BOB"] = &fault.Error{Kind: fault.Transient, Err: errors.New("slack is away")}
	_, failure := g.Apply(t.Context(), delivery(nil))
	if failure == nil {
		t.Fatal("Apply with an unreachable person: error = nil, want one")
	}
	notes, err := json.Marshal(n.sent)
	if err != nil {
		t.Fatalf("encode notes: %v", err)
	}
	all := fmt.Sprintf("%s %+v %v %s %s", notes, rec, failure, fault.UserText(failure), fault.FixText(failure))
	for _, value := range []string{keyID, secKey, secKey[:12], keyID[:8]} {
		if strings.Contains(all, value) {
			t.Errorf("%q is in what left the package: %s", value, all)
		}
	}
}

// R51: who could not be told is named; a repeat tells only them.
func TestApplyAgainTellsOnlyTheRest(t *testing.T) {
	n := newNotifier()
	n.fails["U0BOB"] = &fault.Error{Kind: fault.Transient, RetryAfter: 7 * time.Second, User: "Slack is busy."}
	g := group(n)
	_, err := g.Apply(t.Context(), delivery(nil))
	if got, want := fault.UserText(err), "1 of 2 were told; not U0BOB. Slack is busy."; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if got := fault.KindOf(err); got != fault.Transient || fault.RetryAfter(err) != 7*time.Second {
		t.Errorf("kind, wait = %v, %v, want transient, 7s", got, fault.RetryAfter(err))
	}
	delete(n.fails, "U0BOB")
	if _, err := g.Apply(t.Context(), delivery(nil)); err != nil {
		t.Fatalf("second Apply error = %v", err)
	}
	if got := len(n.sent); got != 2 {
		t.Errorf("notes = %d (%v), want 2", got, n.keys())
	}
}

// A pair generated again in the same rotation is told anew, once; the same
// pair is not, and neither is a pair of an earlier rotation.
func TestALaterPairIsToldAnew(t *testing.T) {
	n := newNotifier()
	g := group(n)
	first, err := g.Apply(t.Context(), delivery(&rotation.Receipt{Print: "print-0", Data: map[string]string{"rotation": "rearlier000"}}))
	if err != nil {
		t.Fatalf("first Apply error = %v", err)
	}
	for _, print := range []string{"print-1", "print-2", "print-2"} {
		d := delivery(&first)
		d.Print = print
		if _, err := g.Apply(t.Context(), d); err != nil {
			t.Fatalf("Apply of %s: error = %v", print, err)
		}
	}
	want := []string{
		"developers/r0123456789/local-dev/U0ADA/print-1", "developers/r0123456789/local-dev/U0ADA/print-2",
		"developers/r0123456789/local-dev/U0BOB/print-1", "developers/r0123456789/local-dev/U0BOB/print-2",
	}
	if diff := cmp.Diff(want, n.keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestReady(t *testing.T) {
	refused := &fault.Error{Kind: fault.NotFound, Reason: "channel_not_found", User: "Slack does not know it."}
	away := &fault.Error{Kind: fault.Transient, Reason: "unavailable", User: "Slack does not answer."}
	tests := []struct {
		name    string
		users   []string
		channel string
		fails   map[string]error
		want    rotation.Level
		reason  string
		text    string // part of the problem's text
	}{
		{name: "everybody", users: []string{"U0ADA", "U0BOB"}, want: rotation.Ready},
		{name: "one unknown", users: []string{"U0ADA", "U0BOB"}, fails: map[string]error{"U0BOB": refused}, want: rotation.NotReady, reason: "channel_not_found", text: "U0BOB"},
		{name: "a person decides before a pause", users: []string{"U0ADA", "U0BOB"}, fails: map[string]error{"U0ADA": away, "U0BOB": refused}, want: rotation.NotReady, reason: "channel_not_found", text: "U0ADA, U0BOB"},
		{name: "the bot's own direct message", channel: "D0OURS", want: rotation.Ready},
		// G6: the SOP's D0AJ7K184TV is somebody else's direct message.
		{name: "another's direct message", channel: "D0AJ7K184TV", fails: map[string]error{"D0AJ7K184TV": refused}, want: rotation.NotReady, reason: "dm_not_ours", text: "works only for the two who are in it"},
		{name: "slack is away", channel: "D0OURS", fails: map[string]error{"D0OURS": away}, want: rotation.NotReady, reason: "unavailable", text: "Slack does not answer."},
		{name: "nobody", want: rotation.NotReady, reason: "nobody_to_tell", text: "names nobody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNotifier()
			maps.Copy(n.fails, tt.fails)
			g := group(n)
			g.Users, g.Channel = tt.users, tt.channel
			got := g.Ready(t.Context())
			if got.Level != tt.want || got.Problem.Reason != tt.reason || !strings.Contains(got.Problem.Text, tt.text) {
				t.Errorf("Ready = %+v, want level %s, reason %q, text with %q", got, tt.want, tt.reason, tt.text)
			}
			if got.Level == rotation.NotReady && got.Problem.Fix == "" {
				t.Errorf("Ready = %+v, want a fix", got)
			}
			if len(n.sent) != 0 {
				t.Errorf("Ready sent %v, want nothing", n.keys())
			}
		})
	}
}

func TestApplyWithNobody(t *testing.T) {
	g := group(newNotifier())
	g.Users = nil
	if _, err := g.Apply(t.Context(), delivery(nil)); fault.ReasonOf(err) != "nobody_to_tell" {
		t.Errorf("Apply error = %v, want reason nobody_to_tell", err)
	}
}

// The channel gets one note, under its own ID.
func TestApplyToAChannel(t *testing.T) {
	n := newNotifier()
	g := group(n)
	g.Users, g.Channel = nil, "D0OURS"
	if _, err := g.Apply(t.Context(), delivery(nil)); err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	if diff := cmp.Diff([]string{"developers/r0123456789/local-dev/D0OURS/print-1"}, n.keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// Slack is away after the click: the rotation does not wait for it, and says
// who is told later.
func TestSlackAwayHoldsNothingUp(t *testing.T) {
	n := newNotifier()
	n.fails = map[string]error{"U0BOB": &fault.Error{Kind: fault.Unknown, Reason: rotation.ReasonWaiting}}
	g := group(n)
	rec, err := g.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v, want nil", err)
	}
	if got, want := rec.Facts[0].Value, "1 of 2, 1 as soon as Slack answers"; got != want {
		t.Errorf("informed %q, want %q", got, want)
	}
}
