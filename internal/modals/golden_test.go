package modals

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

var update = flag.Bool("update", false, "write the golden files")

// views are the views in their main states, by the name of their golden file.
func views() map[string]slack.ModalViewRequest {
	old := checked()
	old.Past.Completed = time.Time{}
	return map[string]slack.ModalViewRequest{
		"precheck_stale":     Step(old),
		"loading":            Loading("prod"),
		"pick":               PickKeySet([]string{"prod", "staging"}),
		"precheck_running":   Step(checking()),
		"precheck_ready":     Step(checked()),
		"precheck_failed":    Step(gateFailed()),
		"precheck_forced":    Step(forcedReset()),
		"generate":           Step(generating()),
		"generate_again":     Step(rejectedOnce()),
		"sealed":             Sealed(pasted()),
		"validate":           Step(pasted()),
		"validate_failed":    Step(stuckInValidate()),
		"store":              Step(storing()),
		"propagate":          Step(propagating()),
		"verify":             Step(verifying()),
		"revoked":            Step(proving()),
		"record":             Step(recording()),
		"closed_completed":   Step(completed()),
		"closed_cancelled":   Step(cancelled()),
		"cancel":             Cancel(checked()),
		"precheck_first_use": Step(withoutPair()),
		"precheck_viewer":    StepFor(checked(), "U0BOB"),
		"generate_other":     Step(othersKeys()),
		"generate_late":      Step(superseded()),
		"validate_blocked":   Step(blocked()),
		"validate_replaced":  Step(replaced()),
		"validate_other":     Step(foreign()),
		"store_stuck":        Step(storeStuck()),
		"store_later":        Step(storeLater()),
		"store_failed":       Step(notStored()),
		"propagate_viewer":   StepFor(propagating(), "U0BOB"),
		"propagate_accepted": Step(accepted()),
		"verify_order_lost":  Step(orderLost()),
		"revoked_alarm":      Step(lingering()),
		"ask_accept":         asked(propagating(), AcceptAction, rotation.StepPropagate, "integration-ci"),
		"ask_accept_order":   asked(orderLost(), AcceptAction, rotation.StepVerify, "test_order"),
		"ask_store_anyway":   asked(blocked(), StoreAnywayAction, rotation.StepValidate, ""),
		"ask_store_later":    asked(storeStuck(), StoreLaterAction, rotation.StepStore, ""),
		"ask_adopt":          asked(replaced(), AdoptAction, rotation.StepValidate, ""),
		"cancelling":         Cancelling(),
		"reset":              Reset("prod", []string{"prod"}),
		"reset_which":        Reset("", []string{"prod", "staging"}),
		"refused":            NotOps().View(),
		"refused_keyset":     UnknownKeySet("prd", []string{"prod", "staging"}).View(),
		"refused_from_fault": Refused("This rotation is over.", "Start a new one.").View(),
	}
}

// messages are the messages in their main states.
func messages() map[string]Message {
	return map[string]Message{
		"channel_checking":  Channel(checking()),
		"channel_failed":    Channel(gateFailed()),
		"channel_generate":  Channel(rejectedOnce()),
		"channel_validate":  Channel(stuckInValidate()),
		"channel_propagate": Channel(propagating()),
		"channel_verify":    Channel(verifying()),
		"channel_revoked":   Channel(proving()),
		"channel_completed": Channel(completed()),
		"channel_cancelled": Channel(cancelled()),
		"channel_first_use": Channel(withoutPair()),
		"channel_other":     Channel(othersKeys()),
		"channel_again":     Channel(superseded()),
		"channel_blocked":   Channel(blocked()),
		"channel_replaced":  Channel(replaced()),
		"channel_foreign":   Channel(foreign()),
		"channel_stuck":     Channel(storeStuck()),
		"channel_later":     Channel(storeLater()),
		"channel_unstored":  Channel(notStored()),
		"channel_accepted":  Channel(accepted()),
		"channel_order":     Channel(orderLost()),
		"channel_alarm":     Channel(lingering()),
		"note":              Note(note()),
		"note_updated":      NoteUpdated(note(), at("09:00:00")),
		"status":            Status([]Card{rotating(), idle(), never(), starting()}, true),
		"status_owner":      Status([]Card{rotating()}, false),
		"status_trouble":    Status([]Card{inState("dead"), inState("held"), inState("doubted"), blockedCard()}, true),
		"history":           History([]Card{idle(), never(), rotating(), blockedCard()}),
		"checking":          Checking([]string{"prod", "staging"}),
		"report":            Report(report(), fresh().Past),
		"report_good":       Report(goodReport(), rotation.Record{KeySet: "staging"}),
		"report_dead":       Report(rotation.Report{KeySet: "prod", At: at("03:20:00"), Items: report().Items[6:]}, fresh().Past),
		"status_none":       Status(nil, true),
		"help":              Help(),
		"refusal_late":      AlreadyDone(rotation.Actor{ID: "U0ADA"}, at("12:03:00")).Message(),
		"refusal_accepted":  Late(accepted(), AcceptAction, binding(accepted(), rotation.StepPropagate, "integration-ci")).Message(),
		"refusal_moved":     Late(storing(), RetryAction, binding(storing(), rotation.StepValidate, "")).Message(),
		"refusal_over":      Late(completed(), RedoAction, binding(completed(), rotation.StepStore, "")).Message(),
		"refusal_operator":  AlreadyOperator().Message(),
		"refusal_channel":   WrongChannel("C0RAXXOPS").Message(),
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b.Bytes()
}

func encodeMessage(t testing.TB, m Message) []byte {
	t.Helper()
	return encode(t, struct {
		Text   string       `json:"text"`
		Blocks slack.Blocks `json:"blocks"`
	}{m.Text, slack.Blocks{BlockSet: m.Blocks}})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden file of %s: %v (write it with -update)", name, err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from its golden file (-want +got; accept with -update):\n%s", name, diff)
	}
}

// TestViews compares each view with its golden file and with Slack's limits
// (R86).
func TestViews(t *testing.T) {
	for name, v := range views() {
		t.Run(name, func(t *testing.T) {
			if err := Check(v); err != nil {
				t.Errorf("Check(%s) = %v, want nil", name, err)
			}
			golden(t, "view_"+name, encode(t, v))
		})
	}
}

// TestViewsSayWhatTheProcedureWants looks for what must be on the screen at the
// step to which it belongs.
func TestViewsSayWhatTheProcedureWants(t *testing.T) {
	tests := []struct {
		id, view string
		want     []string
	}{
		{"R1", "precheck_ready", []string{"Rotate Alpaca paper trading keys", "operator-assisted", "role ops", "5 min", "2026-04-24 UTC", "read-only-docs"}},
		{"R1", "loading", []string{"Rotate Alpaca paper trading keys", "Checking…"}},
		{"R2", "precheck_stale", []string{"last proven on 2026-04-24, 212 days ago"}},
		{"R5", "precheck_ready", []string{"Rotate prod"}},
		{"R6", "closed_completed", []string{"7 min 51 s", "average: 5 min"}},
		{"R12, R13", "precheck_ready", []string{"Reset Paper Account", "never through a reset"}},
		{"R16", "precheck_ready", []string{"Infisical versions", "4 and 4"}},
		{"R17", "precheck_ready", []string{"raxx-api-prod", "raxx-api-staging"}},
		{"R18", "precheck_ready", []string{"100005.83 USD", "2 positions, 1 open order"}},
		{"design 3.1", "precheck_ready", []string{"Market OPEN: trading fails for about 38 s* (your last five)", "3 not provable without writing (last proven 22 Jun 2026), 0 failed"}},
		{"design 3.1", "precheck_failed", []string{"Market closed: good moment"}},
		{"R21", "precheck_forced", []string{"rejected since 03:06 UTC", "press Go on"}},
		{"R34", "generate", []string{"readable on your screen and passes through Slack", "with masked input, is a terminal on the bot's host: bot rotate prod", "until you see ✔ sealed"}},
		{"R39", "generate_again", []string{"Alpaca rejects the old key since 03:12 UTC: it is dead. Paste the new pair now.", "Why you are here again:", "Nothing was written"}},
		{"R34", "sealed", []string{"✔ sealed ····NEW1"}},
		{"R39, R66", "validate_failed", []string{"Paste another pair"}},
		{"R40, R41", "store", []string{"ALPACA_PAPER_API_KEY_ID, ALPACA_PAPER_API_SECRET_KEY"}},
		{"R50", "propagate", []string{"covered by raxx-api-prod"}},
		{"R51", "propagate", []string{"*What to do:*", RetryAction}},
		{"R56", "verify", []string{"61e69015-8549-4bfd-b9c3-01e75843f47d", rotation.PaperOrdersURL}},
		{"R60", "revoked", []string{"200 is an alarm", "not proven dead"}},
		{"R61-R63", "record", []string{"secret.rotate.completed", "ada@raxx.app", "ALPACA_PAPER_API_KEY_ID", "operator-assisted-dashboard"}},
	}
	all := views()
	for _, tt := range tests {
		got := string(encode(t, all[tt.view]))
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the view %s lacks %q", tt.id, tt.view, want)
			}
		}
	}
	noted := string(encodeMessage(t, messages()["note"]))
	for _, want := range []string{"infisical run --projectId=3f1c --env=prod --path=/", "`.env`", UpdatedAction, "The value is never sent"} {
		if !strings.Contains(noted, want) {
			t.Errorf("R46, R47: the note lacks %q", want)
		}
	}
}

func TestMessages(t *testing.T) {
	for name, m := range messages() {
		t.Run(name, func(t *testing.T) {
			if err := CheckMessage(m); err != nil {
				t.Errorf("CheckMessage(%s) = %v, want nil", name, err)
			}
			golden(t, "message_"+name, encodeMessage(t, m))
		})
	}
}

// TestGoldenFilesAreUsed fails when a golden file has no view or message any more.
func TestGoldenFilesAreUsed(t *testing.T) {
	want := map[string]bool{}
	for name := range views() {
		want["view_"+name+".json"] = true
	}
	for name := range messages() {
		want["message_"+name+".json"] = true
	}
	for name := range homes() {
		want["home_"+name+".json"] = true
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() && !want[f.Name()] { // rapid and the fuzzer keep what failed in directories
			t.Errorf("testdata/%s belongs to no view or message", f.Name())
		}
	}
}
