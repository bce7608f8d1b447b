package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The record of a rotation reads who was told from what the outbox keeps: both
// must call it the same.
func TestNoticesOfTheRecord(t *testing.T) {
	tests := []struct {
		name string
		r    func() rotation.Rotation
		want []string
	}{
		{"waits for its operator", func() rotation.Rotation { return broken(exposed("app"), "app") }, []string{
			"waiting C0OPS ops", "waiting U0ADA operator", "waiting U0BOB oncall", "waiting U0CEM oncall", "waiting U0OWN owners",
		}},
		{"opened by itself", func() rotation.Rotation {
			r := begun()
			r.Operator, r.Trigger = rotation.Actor{ID: rotation.BotActor}, rotation.TriggerReset
			r.FirstRejected, r.ClickedAt = time.Now().UTC(), time.Now().UTC()
			return r
		}, []string{"forced U0BOB ", "forced U0CEM ", "waiting C0OPS ops", "waiting U0OWN owners"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onStair(t, func(t *testing.T, s *stair) {
				s.put(tt.r())
				time.Sleep(90 * time.Minute)
				all, err := rotation.Notices(t.Context(), s.store, "r1")
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, n := range all {
					got = append(got, fmt.Sprintf("%s %s %s", n.Kind, n.To, n.Rung))
					if n.At.IsZero() || n.Problem != "" {
						t.Errorf("%+v, want delivered, and when", n)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("notices (-want +got)\n%s", diff)
				}
			})
		})
	}
}
