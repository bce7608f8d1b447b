package modals

import (
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// alone is one consumer that failed with everything else over.
func alone() rotation.Overview {
	o := verifying()
	s := o.Rotation.Step(rotation.StepVerify)
	for i := range s.Items {
		s.Items[i].State, s.Items[i].Problem = rotation.Done, rotation.Problem{}
	}
	s.Items = append(s.Items,
		rotation.Item{Name: "worker", Kind: "heroku", State: rotation.Failed, Counts: true, Problem: rotation.Problem{
			Reason: "not_verified", Text: "worker does not work with it yet: crashed: web.1.", Fix: "Look at worker itself, then press Retry.",
		}},
		rotation.Item{Name: "demo", Kind: "covered_by", State: rotation.Pending}, rotation.Item{Name: "test_order", Kind: "test_order", State: rotation.Pending})
	return o
}

// TestWhoIsWaitedFor (R51): who, for what, and whether the bot goes on meanwhile.
// What waits for a failed consumer is not under way.
func TestWhoIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		o          rotation.Overview
	}{
		{"one failed, others run", "Waiting for <@U0ADA>: integration-ci failed. The bot goes on with the rest.", propagating()},
		{"one failed, nothing runs", "Waiting for <@U0ADA>: worker failed.", alone()},
		{"step 4 may be passed by", "Waiting for <@U0ADA>: Infisical does not take the pair. The bot goes on trying. If trading cannot wait, press Propagate now, store later.", storeStuck()},
		{"step 7 asks on", "Waiting for <@U0ADA>: the old pair is not proven dead. The bot goes on asking.", lingering()},
		{"nothing is wrong", working, storing()},
	} {
		p := &page{}
		if got := p.waiting(tt.o, tt.o.Rotation.Current()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	many := alone()
	s := many.Rotation.Step(rotation.StepVerify)
	for _, name := range []string{"a", "b", "c"} {
		s.Items = append(s.Items, rotation.Item{Name: name, Kind: "heroku", State: rotation.Failed})
	}
	if got := (&page{}).waiting(many, s); got != "Waiting for <@U0ADA>: worker, a, b, 1 more failed." {
		t.Errorf("with four failed: %q", got)
	}
	for o, want := range map[*rotation.Overview]string{new(propagating()): "It goes on with the others.", new(alone()): "It waits for somebody to press a button."} {
		if b := string(encode(t, Step(*o))); !strings.Contains(b, "does not try this one again by itself. "+want) {
			t.Errorf("the view at %s lacks %q", o.Rotation.Current().Name, want)
		}
	}
}

// TestTroubleOnAPhone: the notification says where, what and whom, because it is
// all that a sleeping person's phone shows.
func TestTroubleOnAPhone(t *testing.T) {
	for name, o := range troubles() {
		got := Channel(o).Text
		if !needsPerson(o) {
			continue
		}
		want := []string{"needs a person at step", "Waiting for <@U0ADA>"}
		if text := firstProblem(o.Rotation); text != "" && o.Rotation.Current().Name != rotation.StepGenerate {
			want = append(want, strings.Fields(text)[0])
		}
		for _, says := range want {
			if !strings.Contains(got, says) {
				t.Errorf("%s: the phone shows %q, want %q in it", name, got, says)
			}
		}
	}
	if got, want := Channel(alone()).Text, "crashed: web.1. Waiting for <@U0ADA>: worker failed."; !strings.Contains(got, want) {
		t.Errorf("the phone shows %q, want %q", got, want)
	}
}

// TestNoRetryBeforeItIsThere: while the bot tries by itself, nobody is told to
// press a button that is not shown.
func TestNoRetryBeforeItIsThere(t *testing.T) {
	o := storeStuck()
	s := o.Rotation.Step(rotation.StepStore)
	s.Problem.Fix = "Wait for Infisical to recover, then press Retry."
	if b := string(encode(t, Step(o))); !strings.Contains(b, "*What to do:* "+rotation.StoreLaterFix) || strings.Contains(b, RetryAction) {
		t.Errorf("the view lacks %q, or has Retry: %s", rotation.StoreLaterFix, b)
	}
	o.Now = s.Started.Add(rotation.StoreLaterAfter - time.Second)
	const says = "*What to do:* Nothing while the bot tries. If it stops trying: Wait for Infisical"
	if b := string(encode(t, Step(o))); !strings.Contains(b, says) || strings.Contains(b, RetryAction) {
		t.Errorf("the view lacks %q, or has Retry: %s", says, b)
	}
	s.State = rotation.Failed
	if b := string(encode(t, Step(o))); strings.Contains(b, says) || !strings.Contains(b, RetryAction) {
		t.Errorf("after it failed the view still says %q, or has no Retry: %s", says, b)
	}
}

// TestEndClaimsNoMoreThanTheRecord (R64): what was accepted, and an old pair
// that nobody knew, are not called proven.
func TestEndClaimsNoMoreThanTheRecord(t *testing.T) {
	const all = "The new pair works everywhere and the old one is dead."
	plainly := completed()
	if got := Channel(plainly).Text; !strings.Contains(got, all) {
		t.Errorf("with everything proven: %q, want %q", got, all)
	}
	accept := completed()
	s := accept.Rotation.Step(rotation.StepVerify)
	s.Items[0].State, s.Items[0].PassBy, s.Items[0].PassWhy = rotation.Skipped, "ada@raxx.app", "crashes with any pair"
	first := completed()
	first.Rotation.Step(rotation.StepRevoked).State = rotation.Skipped
	for o, want := range map[*rotation.Overview]string{
		&accept: "rotated, but 1 thing was accepted without proof, see the deviations.",
		&first:  "rotated, but no old pair was known whose end could be proven.",
	} {
		if got := Channel(*o).Text; !strings.Contains(got, want) || strings.Contains(got, all) {
			t.Errorf("the channel says %q, want %q", got, want)
		}
		if b := string(encode(t, Step(*o))); !strings.Contains(b, "Rotated, but not all of it is proven") {
			t.Errorf("the modal claims that all is proven: %s", b)
		}
	}
}

// TestBackInStepTwo: whether the old pair is known to be dead decides how bad it
// is, so it is said.
func TestBackInStepTwo(t *testing.T) {
	for dead, want := range map[bool]string{true: "the old pair is dead.", false: "the old pair was not seen dead."} {
		o := superseded()
		if o.Rotation.FirstRejected.IsZero() {
			t.Fatal("the sample's old pair was never rejected")
		}
		if !dead {
			o.Rotation.FirstRejected = time.Time{}
		}
		if got := (&page{}).already(o); !strings.Contains(got, want) {
			t.Errorf("with the old pair dead = %t: %q, want %q", dead, got, want)
		}
	}
}

// TestAdoptedAccountIsNamed: from then on it is the right one, not the one of
// the snapshot.
func TestAdoptedAccountIsNamed(t *testing.T) {
	o := completed()
	o.Rotation.Adopted = &rotation.Account{ID: "other", Number: "PA3NEWACCT99"}
	if b := string(encodeMessage(t, Channel(o))); !strings.Contains(b, "account …CT99, adopted") {
		t.Errorf("the channel message does not name the adopted account: %s", b)
	}
}
