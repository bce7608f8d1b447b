package rotation_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

var keepRecords = flag.Bool("rotation.update", false, "write the records in testdata anew")

// People of these tests, and as what they act.
var (
	ada     = rotation.Actor{ID: "U0ADA"}
	cyd     = rotation.Actor{ID: "U0CYD"}
	strange = rotation.Actor{ID: "local:bob", Role: rotation.ActedBreakGlass}
)

// staffed gives the key set owners, and says who is in ops and who is on call.
func (b *bench) staffed() {
	b.stop()
	b.target = func(all []rotation.Target) []rotation.Target {
		all[2].Consumer = crier{fakeConsumer{b.w, "dev"}, "U0DEV U0EVE"}
		return all
	}
	b.config = func(cfg *rotation.Config) {
		cfg.KeySets[0].Owners = []string{"U0OWN", "U0ADA"}
		cfg.Role = rotation.RolesOf(func(role string) []string {
			return map[string][]string{rotation.RoleOps: {"U0ADA", "U0CYD"}, rotation.RoleOnCall: {"U0CYD"}}[role]
		})
	}
	b.start()
}

// noticed writes down that a note was delivered, or why not, as the outbox does.
func (b *bench) noticed(key, reason string) {
	b.t.Helper()
	body := map[string]any{"at": time.Now().UTC(), "ref": map[string]string{"channel": "D1", "ts": "1.2"}}
	if reason != "" {
		body["problem"] = rotation.Problem{Kind: "denied", Reason: reason}
	}
	value, err := json.Marshal(body)
	b.must(err)
	_, err = b.store.Txn(b.t.Context(), nil, []rotation.Op{{Key: rotation.ToldPrefix + key, Value: value}})
	b.must(err)
}

// record returns the context of the row of a completed rotation, with a name in
// place of each value that is another one in every run.
func (b *bench) record(id rotation.ID) map[string]any {
	b.t.Helper()
	rows := b.actions(id, "secret.rotate.completed")
	if len(rows) != 1 {
		b.t.Fatalf("%d completed rows, want 1", len(rows))
	}
	r := b.now(id)
	named := []string{rotation.TextsSHA256(), "(of the texts)", string(id), "(this one)", string(r.Summary.PreviousRotation), "(the one before)"}
	for tail, name := range map[string]string{"OLD1": "OLD1", "HAND": "HAND", "NEW1": "NEW1", "NEW2": "NEW2"} {
		named = append(named, b.sealer.Print(pairOf(tail)), "(fingerprint of "+name+")")
	}
	if r.Order != nil {
		named = append(named, r.Order.ClientID, "(client ID)")
	}
	var pairs []string
	for i := 0; i < len(named); i += 2 {
		if named[i] != "" {
			pairs = append(pairs, named[i], named[i+1])
		}
	}
	body, err := json.Marshal(rows[0].Context)
	b.must(err)
	var context map[string]any
	b.must(json.Unmarshal([]byte(strings.NewReplacer(pairs...).Replace(string(body))), &context))
	return context
}

// golden compares a record with the one that is kept in testdata, every field of
// it, and none more.
func golden(t *testing.T, name string, got map[string]any) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *keepRecords {
		body, err := json.MarshalIndent(got, "", " ")
		if err == nil {
			err = os.WriteFile(path, append(body, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// R6, R11, R61 to R63 and the field list at the end of the requirements: a
// rotation after 185 days that one person opens, another goes on with by breaking
// glass over a failed check, and a third one takes over; a consumer needs a second
// try, a position and an order are lost, and a test order is placed.
func TestRecordOfScheduled(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.staffed()
		first := b.open()
		b.goOn(first, false)
		b.paste(first, b.w.click("acc-1", "NEW1"))
		b.over(first)
		time.Sleep(185 * 24 * time.Hour)
		b.w.set(func() {
			b.w.notReady = map[string]bool{"ci": true}
			b.w.survey = rotation.Survey{
				Positions:  []rotation.Holding{{Symbol: "MSFT", Qty: "5"}},
				OpenOrders: []rotation.Order{{ID: "o1", ClientID: "c1", Symbol: "AAPL", Side: "buy", Qty: "10"}},
			}
			b.w.applyFail = map[string][]error{"api": {&fault.Error{Kind: fault.Transient, Reason: "server", RetryAfter: 3 * time.Second}}}
		})
		id := b.open()
		time.Sleep(61 * time.Second)
		problems, err := b.engine.GoOn(t.Context(), strange, id, rotation.GoOn{
			Trigger: rotation.TriggerScheduled, Reason: "every half year", Ticks: allTicks(), TestOrder: true, Pass: []string{"ci"}, PassWhy: "CI is mended today",
		})
		if err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v, want nothing", problems, err)
		}
		time.Sleep(61 * time.Second)
		b.must(b.engine.TakeOver(t.Context(), cyd, id))
		since := time.Now().UTC().Format(time.RFC3339Nano)
		b.noticed(rotation.NoticeCall+"/"+string(id)+"/"+since+"/U0CYD/operator", "")
		b.noticed(rotation.NoticeCall+"/"+string(id)+"/"+since+"/U0OWN/owners", "user_not_found")
		b.noticed(rotation.NoticeBreakGlass+"/"+string(id)+"/bob", "")
		b.noticed(rotation.NoticePage+"/rsomeother1/U0CYD", "") // about another one
		b.w.set(func() { b.w.survey = rotation.Survey{} })
		live := b.w.click("acc-1", "NEW2")
		if _, err := b.engine.Paste(t.Context(), cyd, id, live.KeyID, live.Secret); err != nil {
			t.Fatal(err)
		}
		b.over(id)
		golden(t, "record_scheduled.json", b.record(id))
	})
}

// The same of a rotation that the bot opens for a dead key: somebody says that it
// was them.
func TestRecordOfForced(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.staffed()
		s := b.die()
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		b.noticed(rotation.NoticePage+"/"+string(id)+"/U0CYD", "")
		b.checked(id)
		time.Sleep(61 * time.Second)
		b.must(b.engine.ItWasMe(t.Context(), ada, id, rotation.ClaimRegenerated))
		time.Sleep(61 * time.Second)
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.over(id)
		golden(t, "record_forced.json", b.record(id))
	})
}

// The record says who opened a rotation, who ran it in the end, what each of them
// was let in as, and how it changed hands.
func TestRecordOfPeople(t *testing.T) {
	goOn := func(b *bench, by rotation.Actor, id rotation.ID) {
		problems, err := b.engine.GoOn(b.t.Context(), by, id, rotation.GoOn{Trigger: rotation.TriggerOperator, Reason: "it leaked", Ticks: allTicks()})
		if err != nil || len(problems) > 0 {
			b.t.Fatalf("GoOn = %v, %v, want nothing", problems, err)
		}
	}
	start := func(b *bench, by rotation.Actor) rotation.ID {
		id, _, err := b.engine.Start(b.t.Context(), by, "prod")
		b.must(err)
		b.until(id, "step 1 waits for the operator", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPrecheck).WaitsFor == by.ID })
		return id
	}
	tests := []struct {
		name string
		run  func(*bench) rotation.ID // to the paste
		want string                   // opened_by (role) asked_for; operator (role); each take-over
	}{
		{
			"one person", func(b *bench) rotation.ID { id := start(b, ada); goOn(b, ada, id); return id },
			"ada@raxx.app (ops) operator; ada@raxx.app (ops)",
		},
		{
			"on call", func(b *bench) rotation.ID { id := start(b, cyd); goOn(b, cyd, id); return id },
			"cyd@raxx.app (ops, on-call) operator; cyd@raxx.app (ops, on-call)",
		},
		{"nobody knows them", func(b *bench) rotation.ID {
			id := start(b, rotation.Actor{ID: "U0EVE"})
			goOn(b, rotation.Actor{ID: "U0EVE"}, id)
			return id
		}, "eve@raxx.app (not recorded) operator; eve@raxx.app (not recorded)"},
		{
			"break-glass", func(b *bench) rotation.ID { id := start(b, strange); goOn(b, strange, id); return id },
			"local:bob@raxx.app (break-glass) operator; local:bob@raxx.app (break-glass)",
		},
		{
			"another one goes on", func(b *bench) rotation.ID { id := start(b, ada); goOn(b, cyd, id); return id },
			"ada@raxx.app (ops) operator; cyd@raxx.app (ops, on-call); ada@raxx.app (ops) to cyd@raxx.app (ops, on-call): went on from step 1",
		},
		{"break-glass takes over, and back", func(b *bench) rotation.ID {
			id := start(b, ada)
			goOn(b, ada, id)
			b.must(b.engine.TakeOver(b.t.Context(), strange, id))
			b.must(b.engine.TakeOver(b.t.Context(), strange, id)) // a repeat is none
			b.must(b.engine.TakeOver(b.t.Context(), ada, id))
			return id
		}, "ada@raxx.app (ops) operator; ada@raxx.app (ops); ada@raxx.app (ops) to local:bob@raxx.app (break-glass): pressed Take over; local:bob@raxx.app (break-glass) to ada@raxx.app (ops): pressed Take over"},
		{"the bot opens, somebody takes over", func(b *bench) rotation.ID {
			id, err := b.engine.Force(b.t.Context(), b.die())
			b.must(err)
			b.checked(id)
			b.must(b.engine.TakeOver(b.t.Context(), cyd, id))
			goOn(b, cyd, id)
			return id
		}, "keyturn (bot) reset; cyd@raxx.app (ops, on-call); keyturn (bot) to cyd@raxx.app (ops, on-call): pressed Take over"},
		{"the bot opens, somebody says it was reset", func(b *bench) rotation.ID {
			id, err := b.engine.Force(b.t.Context(), b.die())
			b.must(err)
			b.checked(id)
			_, _, err = b.engine.Reset(b.t.Context(), ada, "prod", "I pressed it")
			b.must(err)
			goOn(b, ada, id)
			return id
		}, "keyturn (bot) reset; ada@raxx.app (ops); keyturn (bot) to ada@raxx.app (ops): I pressed it"},
		{"a person opens a forced one", func(b *bench) rotation.ID {
			b.die()
			id, _, err := b.engine.Reset(b.t.Context(), ada, "prod", "")
			b.must(err)
			b.checked(id)
			goOn(b, ada, id)
			return id
		}, "ada@raxx.app (ops) reset; ada@raxx.app (ops)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				b.staffed()
				id := tt.run(b)
				b.paste(id, b.w.click("acc-1", "NEW1"))
				b.over(id)
				if got := peopleOf(b.record(id)); got != tt.want {
					t.Errorf("the record says\n%s\nwant\n%s", got, tt.want)
				}
			})
		})
	}
}

// peopleOf is who ran a rotation, by its record.
func peopleOf(m map[string]any) string {
	text := fmt.Sprintf("%s (%s) %v; %s (%s)", m["opened_by"], m["role"], m["asked_for"], m["operator"], m["operator_role"])
	list, _ := m["takeovers"].([]any)
	for _, v := range list {
		o, _ := v.(map[string]any)
		text += fmt.Sprintf("; %s (%s) to %s (%s): %s", o["from"], o["from_role"], o["to"], o["to_role"], o["why"])
		if o["at"] == "" {
			text += " at no time"
		}
	}
	return text
}

// A rotation that an older version stored, without what is kept of people today,
// goes on, and its record does not say what nobody wrote down.
func TestRecordOfOlderVersion(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.staffed()
		id := b.open()
		b.goOn(id, false)
		b.stop()
		key := "rotation/" + string(id)
		kv, err := b.store.Get(t.Context(), key)
		b.must(err)
		var stored map[string]any
		b.must(json.Unmarshal(kv.Value, &stored))
		for _, name := range []string{"opener", "asked_for", "takeovers"} {
			delete(stored, name)
		}
		stored["operator"] = map[string]any{"ID": "U0ADA", "Admin": "ada@raxx.app"}
		steps, _ := stored["steps"].([]any)
		for _, s := range steps {
			items, _ := s.(map[string]any)["items"].([]any)
			for _, it := range items {
				delete(it.(map[string]any), "begun") //nolint:forcetypeassert // a test
			}
		}
		value, err := json.Marshal(stored)
		b.must(err)
		_, err = b.store.Txn(t.Context(), nil, []rotation.Op{{Key: key, Value: value}})
		b.must(err)
		b.start()
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.over(id)
		const want = "not recorded (not recorded) <nil>; ada@raxx.app (not recorded)"
		if got := peopleOf(b.record(id)); got != want {
			t.Errorf("the record says\n%s\nwant\n%s", got, want)
		}
	})
}

// With a hundred consumers that all say much, and everybody told over and over,
// the row is far below what a line of an export may have.
func TestRecordIsBounded(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		const most = 1 << 20 // bytes; a line of an export may have 4 MiB
		long := strings.Repeat("x", 5000)
		b.stop()
		b.target = func(all []rotation.Target) []rotation.Target {
			for i := range 100 {
				all = append(all, rotation.Target{Name: fmt.Sprintf("more-%d", i), Kind: "heroku", Counts: true, Consumer: wordy{fakeConsumer{b.w, fmt.Sprintf("more-%d", i)}, long}})
			}
			return all
		}
		b.start()
		id := b.open()
		for i := range 500 {
			b.noticed(fmt.Sprintf("%s/%s/2000-01-01T00:00:00Z/U%d/ops", rotation.NoticeCall, id, i), "")
		}
		b.goOn(id, false)
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.over(id)
		m := b.record(id)
		body, err := json.Marshal(m)
		b.must(err)
		t.Logf("%d bytes", len(body))
		if len(body) > most {
			t.Errorf("the record has %d bytes, want at most %d", len(body), most)
		}
		if list, _ := m["notices"].([]any); len(list) != 200 || m["notices_left_out"] != float64(300) {
			t.Errorf("%d notices and %v left out, want 200 and 300", len(list), m["notices_left_out"])
		}
	})
}

// A wordy consumer says more than anybody reads.
type wordy struct {
	fakeConsumer
	text string
}

func (c wordy) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Ready, Detail: c.text}
}

func (c wordy) Verify(ctx context.Context, d rotation.Delivery, r rotation.Receipt) (rotation.Proof, error) {
	p, err := c.fakeConsumer.Verify(ctx, d, r)
	p.Detail, p.Facts = c.text, []rotation.Fact{{Name: "seen", Label: "Seen", Value: c.text}}
	return p, err
}
