package rotation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// 3.4: what people are offered is what helps with the problem at hand, first, and
// then what goes forward from any trouble between the paste and the record.
func TestOffers(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 12, 0, 0, time.UTC)
	failed := func(name, kind string) rotation.Item {
		return rotation.Item{Name: name, Kind: kind, State: rotation.Failed}
	}
	// stop has step 3 wait for a person because of reason.
	stop := func(o *rotation.Overview, reason string) {
		s := o.Rotation.Step(rotation.StepValidate)
		s.State, s.Problem.Reason = rotation.Failed, reason
	}
	// stuck has step 4 fail, since so long.
	stuck := func(o *rotation.Overview, kind string, since time.Duration) {
		s := o.Rotation.Step(rotation.StepStore)
		s.Problem, s.Started = rotation.Problem{Kind: kind, Reason: "unavailable"}, now.Add(-since)
	}
	tests := []struct {
		name string
		at   rotation.StepName // the first step that is not done, in round 2; it runs
		set  func(*rotation.Overview)
		want []string // what, step and item
	}{
		{name: "nothing is wrong", at: rotation.StepPropagate},
		{name: "a check failed", at: rotation.StepPrecheck, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepPrecheck).Items = []rotation.Item{failed("snapshot", "check"), {Name: "audit", Kind: "check", State: rotation.Done}}
		}, want: []string{"retry precheck snapshot"}},
		{name: "another pair is asked for", at: rotation.StepGenerate},
		{name: "the pair is another key set's", at: rotation.StepGenerate, set: func(o *rotation.Overview) {
			o.Other = &rotation.OtherOwner{KeySet: "staging"}
		}, want: []string{"use_for validate staging"}},
		{name: "no account is known", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonNoBaseline)
		}, want: []string{"retry validate", "adopt validate", "regenerate validate"}},
		{name: "the account was replaced", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonReplaced)
		}, want: []string{"retry validate", "adopt validate", "regenerate validate"}},
		{name: "another account", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonOther)
		}, want: []string{"retry validate", "adopt validate", "regenerate validate"}},
		{name: "another account, which another key set has", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonOther)
			o.Other = &rotation.OtherOwner{KeySet: "staging"}
		}, want: []string{"retry validate", "use_for validate staging", "regenerate validate"}},
		{name: "another account, and no pair is chosen", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonOther)
			o.Rotation.Chosen = 0
		}, want: []string{"retry validate", "regenerate validate"}},
		{name: "blocked, and the old pair may live", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			stop(o, rotation.ReasonBlocked)
		}, want: []string{"retry validate", "regenerate validate"}},
		{name: "blocked, and the old pair is dead", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepValidate).Problem.Reason = rotation.ReasonBlocked
		}, want: []string{"store_anyway validate"}},
		{name: "blocked, and to be stored anyway", at: rotation.StepValidate, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepValidate).Problem.Reason, o.Rotation.StoreAnyway = rotation.ReasonBlocked, true
		}},
		{name: "the vault is down for a short time", at: rotation.StepStore, set: func(o *rotation.Overview) {
			stuck(o, "transient", rotation.StoreLaterAfter-time.Second)
		}},
		{name: "the vault is down", at: rotation.StepStore, set: func(o *rotation.Overview) {
			stuck(o, "transient", rotation.StoreLaterAfter)
		}, want: []string{"store_later store"}},
		{name: "the vault is down for so long that step 4 gave up", at: rotation.StepStore, set: func(o *rotation.Overview) {
			stuck(o, "unknown", time.Hour)
			o.Rotation.Step(rotation.StepStore).State = rotation.Failed
		}, want: []string{"retry store", "store_later store", "redo store", "regenerate store"}},
		{name: "the vault refuses", at: rotation.StepStore, set: func(o *rotation.Overview) {
			stuck(o, "denied", time.Hour)
			o.Rotation.Step(rotation.StepStore).State = rotation.Failed
		}, want: []string{"retry store", "redo store", "regenerate store"}},
		{name: "consumers failed", at: rotation.StepPropagate, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepPropagate).Items = []rotation.Item{failed("api", "heroku"), failed("ci", "github_actions")}
		}, want: []string{"retry propagate api", "accept propagate api", "retry propagate ci", "accept propagate ci", "redo propagate", "regenerate propagate"}},
		{name: "the test order failed", at: rotation.StepVerify, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepVerify).Items = []rotation.Item{failed("test_order", "test_order")}
		}, want: []string{"retry verify test_order", "accept verify test_order", "redo verify", "regenerate verify"}},
		{name: "the old pair still works", at: rotation.StepRevoked, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepRevoked).Items = []rotation.Item{failed("old", "old_pair")}
		}, want: []string{"retry revoked old", "redo revoked", "regenerate revoked"}},
		{name: "the record is being written", at: rotation.StepRecord},
		{name: "the record failed", at: rotation.StepRecord, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepRecord).State = rotation.Failed
		}, want: []string{"retry record", "redo record", "regenerate record"}},
		{name: "failed, and over", at: rotation.StepPropagate, set: func(o *rotation.Overview) {
			o.Rotation.Step(rotation.StepPropagate).State, o.Rotation.Outcome = rotation.Failed, rotation.Completed
		}},
		{name: "nothing is there", at: rotation.StepPrecheck, set: func(o *rotation.Overview) { o.Rotation.Steps = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := rotation.Overview{Now: now, Rotation: rotation.Rotation{Outcome: rotation.Open, Chosen: 1, Candidates: []rotation.Candidate{{N: 1}}}}
			state := rotation.Done
			for i, name := range rotation.StepNames() {
				s := rotation.Step{Number: i + 1, Name: name, State: state, Round: 1}
				if name == tt.at {
					state = rotation.Pending
					s.State, s.Round = rotation.Running, 2
				}
				o.Rotation.Steps = append(o.Rotation.Steps, s)
			}
			if tt.set != nil {
				tt.set(&o)
			}
			var got []string
			for _, offer := range o.Offers() {
				text := fmt.Sprintf("%s %s", offer.What, offer.Step)
				if offer.Item != "" {
					text += " " + offer.Item
				}
				got = append(got, text)
				if want := o.Rotation.Step(offer.Step).Round; offer.Round != want {
					t.Errorf("%s is bound to round %d, want %d", text, offer.Round, want)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("offers (-want +got):\n%s", diff)
			}
		})
	}
}
