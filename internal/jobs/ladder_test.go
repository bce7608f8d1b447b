package jobs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Design 3.4: exposed and waiting for a person, whatever the trigger:
// each rung at its time and once.
func TestLadderRungs(t *testing.T) {
	for _, trigger := range rotation.Triggers() {
		t.Run(string(trigger), func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				r := exposed("app")
				r.Trigger = trigger
				s.put(r)
				time.Sleep(10 * time.Minute) // the bot works: nobody is told
				s.told(time.Now())
				failed := time.Now()
				s.put(broken(r, "app"))
				time.Sleep(90 * time.Minute)
				notes := s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "15m0s U0OWN owners", "30m0s C0OPS ops")
				last := notes[len(notes)-1].Note
				want := map[string]string{
					rotation.NoteRung: "ops", rotation.NoteSince: failed.UTC().Format(time.RFC3339Nano), rotation.NoteFor: "Step 5, Propagate: app failed.",
					rotation.NoteWhat: "Heroku refused the token of account " + rotation.Masked("PA3TESTNMB7Q") + ".", rotation.NoteFix: "Renew it.", rotation.NoteOperator: "U0ADA",
					rotation.NoteDown: r.FirstRejected.Format(time.RFC3339Nano), rotation.NoteMention: "S0OPS",
				}
				if diff := cmp.Diff(want, last.Data); diff != "" || last.Kind != rotation.NoteWaiting || last.KeySet != "prod" || last.Rotation != "r1" {
					t.Errorf("last note %+v, data (-want +got):\n%s", last, diff)
				}
			})
		})
	}
}

// Whoever was told is not told again after a restart, and the rungs go on where
// they were.
func TestLadderAcrossRestarts(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		failed := time.Now()
		s.put(broken(exposed("app"), "app"))
		for range 40 {
			time.Sleep(59 * time.Second)
			s.down(time.Second)
		}
		s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "15m0s U0OWN owners", "30m0s C0OPS ops")
	})
}

// A person acted and it failed again: everybody is told anew, from the bottom.
func TestLadderStartsAnew(t *testing.T) {
	for name, pause := range map[string]time.Duration{"seen by a scan": time.Minute, "between two scans": time.Second} {
		t.Run(name, func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				failed := time.Now()
				r := broken(exposed("app"), "app")
				s.put(r)
				time.Sleep(7*time.Minute - pause)
				s.put(consumerIs(r, "app", rotation.Running))
				time.Sleep(pause)
				s.put(broken(r, "app"))
				time.Sleep(6 * time.Minute)
				s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "7m0s U0ADA operator", "12m0s U0BOB oncall", "12m0s U0CEM oncall")
			})
		})
	}
}

// When it goes on by itself nobody else is told, and nothing of it is left.
func TestLadderEnds(t *testing.T) {
	ends := map[string]func(*stair, rotation.Rotation){
		"mended": func(s *stair, r rotation.Rotation) { s.put(consumerIs(r, "app", rotation.Done)) },
		"over":   func(s *stair, r rotation.Rotation) { s.set(func() { delete(s.open, r.ID) }) },
		"unharmed": func(s *stair, r rotation.Rotation) {
			r.VerifiedAt = time.Now() // it still waits, but trading is up
			s.put(r)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				failed := time.Now()
				r := broken(exposed("app"), "app")
				s.put(r)
				time.Sleep(6 * time.Minute)
				end(s, r)
				time.Sleep(time.Hour)
				s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall")
				if left, err := s.store.List(t.Context(), "waiting/", "", 0); err != nil || len(left) != 0 {
					t.Errorf("%d episodes left, %v, want none", len(left), err)
				}
			})
		})
	}
}

// Two consumers failed and one is mended: the other one still waits, and nobody
// is told all over again.
func TestLadderGoesOnWithTheRest(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		failed := time.Now()
		r := broken(exposed("app", "ci"), "app")
		s.put(r)
		time.Sleep(2 * time.Minute)
		r = broken(r, "ci")
		s.put(r)
		time.Sleep(5 * time.Minute)
		s.put(consumerIs(r, "app", rotation.Done))
		time.Sleep(3 * time.Minute)
		s.down(5 * time.Second)
		time.Sleep(10 * time.Minute)
		s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "15m0s U0OWN owners")
	})
}

// Somebody is always told at once: on-call where a rotation opened by itself,
// and whoever comes next where nobody is on call.
func TestLadderWithoutOperator(t *testing.T) {
	tests := []struct {
		name     string
		operator string
		set      func(*stair)
		want     []string // within 20 minutes
	}{
		{"opened by itself", rotation.BotActor, func(*stair) {}, []string{"0s U0BOB oncall", "0s U0CEM oncall", "15m0s U0OWN owners"}},
		{"unmapped login", "local:eve", func(*stair) {}, []string{"0s U0BOB oncall", "0s U0CEM oncall", "15m0s U0OWN owners"}},
		{"mapped login", "local:ada", func(*stair) {}, []string{"0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "15m0s U0OWN owners"}},
		{"nobody on call", rotation.BotActor, func(s *stair) { s.onCall = []string{} }, []string{"0s U0OWN owners"}},
		{"on call but not in ops", rotation.BotActor, func(s *stair) { s.ops = []string{"U0CEM"} }, []string{"0s U0CEM oncall", "15m0s U0OWN owners"}},
		{"no owners: ops", rotation.BotActor, func(s *stair) { s.owners["prod"] = nil }, []string{"0s U0BOB oncall", "0s U0CEM oncall", "15m0s U0ADA owners", "15m0s U0BOB owners", "15m0s U0CEM owners"}},
		{"nobody at all", rotation.BotActor, func(s *stair) { s.onCall, s.ops, s.owners["prod"] = []string{}, []string{}, nil }, []string{"0s C0OPS ops"}},
		{"on-call not known", rotation.BotActor, func(s *stair) { s.onCall = nil }, []string{"15m0s U0OWN owners"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				s.set(func() { tt.set(s) })
				failed := time.Now()
				r := broken(exposed("app"), "app")
				r.Operator.ID = tt.operator
				s.put(r)
				time.Sleep(20 * time.Minute)
				notes := s.told(failed, tt.want...)
				if got := notes[0].Note.Data[rotation.NoteSkipped]; (got == "U0BOB") != (tt.name == "on call but not in ops") {
					t.Errorf("skipped = %q, want U0BOB only where they are not in ops", got)
				}
			})
		})
	}
}

// Rungs that passed while the bot was down are one message for each person,
// which says since when it waits.
func TestLadderAfterDowntime(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		s.owners["prod"] = []string{"U0ADA", "U0BOB", "U0ADA"}
		failed := time.Now()
		r := broken(exposed("app"), "app")
		s.end()
		s.put(r)
		s.down(40 * time.Minute)
		time.Sleep(time.Hour)
		notes := s.told(failed, "40m0s C0OPS ops", "40m0s U0ADA owners", "40m0s U0BOB owners", "40m0s U0CEM oncall")
		for _, n := range notes {
			if got, want := n.Note.Data[rotation.NoteSince], failed.UTC().Format(time.RFC3339Nano); got != want {
				t.Errorf("%s is told that it waits since %s, want %s", n.To, got, want)
			}
		}
	})
}

// While Slack is down people collect one message each, and none about what is
// over by then.
func TestLadderWhileSlackIsDown(t *testing.T) {
	for _, mended := range []bool{false, true} {
		t.Run(fmt.Sprintf("mended %t", mended), func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				s.owners["prod"] = []string{"U0ADA"}
				refusals := make([]error, 1000)
				for i := range refusals {
					refusals[i] = transient()
				}
				s.world.set(func() { s.fails["note"] = refusals })
				r := broken(exposed("app"), "app")
				s.put(r)
				time.Sleep(20 * time.Minute)
				if mended {
					s.put(consumerIs(r, "app", rotation.Done))
					time.Sleep(time.Minute)
				}
				s.world.set(func() { s.fails["note"] = nil })
				time.Sleep(5 * time.Minute)
				var got []string
				s.world.set(func() {
					for _, n := range s.notes {
						got = append(got, n.To+" "+n.Note.Data[rotation.NoteRung])
					}
				})
				want := 3
				if mended {
					want = 0
				}
				if len(got) != want || !mended && !strings.Contains(strings.Join(got, ","), "U0ADA owners") {
					t.Errorf("people told = %v, want %d, Ada once as an owner", got, want)
				}
			})
		})
	}
}

// What Slack refused for good is tried again as long as it matters: its token
// may have been renewed.
func TestLadderTriesAgainWhatWasGivenUp(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		s.world.set(func() { s.fails["note"] = []error{&fault.Error{Kind: fault.Denied, Reason: "invalid_auth"}} })
		failed := time.Now()
		s.onCall = []string{}
		s.put(broken(exposed("app"), "app"))
		time.Sleep(14 * time.Minute)
		s.told(failed, "10m0s U0ADA operator")
	})
}

// A disk that refuses for a while delays the ladder and makes no second copy.
func TestLadderStoreRefusesForAWhile(t *testing.T) {
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprintf("mute %t", mute), func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				s.end()
				s.stop()
				sick := &sickStore{Store: s.store, mute: mute}
				sick.refuse.Store(1)
				s.build(sick)
				s.run()
				s.climb()
				failed := time.Now()
				s.put(broken(exposed("app"), "app"))
				time.Sleep(40 * time.Minute)
				s.told(failed, "0s U0ADA operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall", "15m0s U0OWN owners", "30m0s C0OPS ops")
			})
		})
	}
}

// A rotation that cannot be looked at keeps its episode.
func TestLadderLookFails(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		failed := time.Now()
		s.put(broken(exposed("app"), "app"))
		time.Sleep(time.Minute)
		s.set(func() { s.blind = true })
		time.Sleep(10 * time.Minute)
		s.set(func() { s.blind = false })
		time.Sleep(time.Minute)
		s.told(failed, "0s U0ADA operator", "11m0s U0BOB oncall", "11m0s U0CEM oncall")
	})
}
