package rotation_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
	"github.com/raxx-app/keyturn/internal/state/statetest"
)

// nth returns a chooser for a Flaky that makes trouble at transaction n, which
// counts from 0, and counts them all.
func nth(n int, trouble statetest.Outcome, count *int) func([]rotation.Cond, []rotation.Op) statetest.Outcome {
	return func([]rotation.Cond, []rotation.Op) statetest.Outcome {
		*count++
		if *count == n+1 {
			return trouble
		}
		return statetest.Pass
	}
}

// insist does what a person would: press again until it is taken.
func (b *bench) insist(what string, do func() error) {
	b.t.Helper()
	var err error
	for range 10 {
		if err = do(); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	b.t.Fatalf("%s is refused again and again: %v", what, err)
}

// wholeWay takes a rotation from start to end and presses Retry where a step
// stops. It returns the new pair.
func (b *bench) wholeWay() rotation.Pair {
	b.t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	var id rotation.ID
	b.insist("start", func() (err error) { id, _, err = b.engine.Start(ctx, operator, "prod"); return err })
	wg.Go(func() {
		for ctx.Err() == nil {
			if o, err := b.engine.Look(ctx, id); err == nil {
				for _, s := range o.Rotation.Steps {
					_ = b.engine.Retry(ctx, operator, id, s.Name, s.Round, "") // late, unless something failed
				}
			}
			time.Sleep(time.Second)
		}
	})
	b.until(id, "checked", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPrecheck).WaitsFor == operator.ID })
	b.insist("go on", func() error {
		problems, err := b.engine.GoOn(ctx, operator, id, rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks(), TestOrder: true})
		if err == nil && problems["gate"] != "" {
			err = &fault.Error{Reason: "gate"}
		}
		return err
	})
	live := b.w.click("acc-1", "NEW1")
	b.insist("paste", func() error { _, err := b.engine.Paste(ctx, operator, id, live.KeyID, live.Secret); return err })
	b.over(id)
	return live
}

// R89, and "unknown is a state": whichever commit of a rotation conflicts, is
// lost, is done though its answer is lost, or fails on a full disk, the
// rotation ends as it should and the test order is sent once. The short form
// makes one of these troubles at each commit, the long one each.
func TestEveryCommitInTrouble(t *testing.T) {
	troubles := []statetest.Outcome{statetest.Conflict, statetest.Unwritten, statetest.Written, statetest.Broken}
	commits, made := 1, 0
	for n := 0; n < commits && !t.Failed(); n++ {
		for i, trouble := range troubles {
			if i != n%len(troubles) && *modelSteps == 0 {
				continue
			}
			made++
			synctest.Test(t, func(t *testing.T) { commits = max(commits, commitInTrouble(t, n, trouble)) })
		}
	}
	t.Logf("%d troubles at %d commits", made, commits)
}

// commitInTrouble takes a rotation through with trouble at commit n, and returns
// how many commits it took.
func commitInTrouble(t *testing.T, n int, trouble statetest.Outcome) (count int) {
	w := newWorld()
	var flaky *statetest.Flaky
	b := setUpOn(t, w, func(s rotation.Store) rotation.Store {
		flaky = statetest.NewFlaky(s)
		return flaky
	})
	defer b.close()
	flaky.When(nth(n, trouble, &count))
	live := b.wholeWay()
	b.holds(live, "api", "ci", "dev")
	if w.placed != 1 {
		t.Errorf("commit %d, trouble %d: %d test orders, want 1", n, trouble, w.placed)
	}
	if _, err := state.Verify(t.Context(), b.store, nil); err != nil {
		t.Errorf("commit %d, trouble %d: audit chain: %v", n, trouble, err)
	}
	return count
}

// R89: while nothing can be written down nothing is done either, and the disk
// is not hammered; afterwards it goes on by itself.
func TestNoRowNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, count := newWorld(), 0
		var flaky *statetest.Flaky
		b := setUpOn(t, w, func(s rotation.Store) rotation.Store {
			flaky = statetest.NewFlaky(s)
			return flaky
		})
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		live := w.click("acc-1", "NEW1")
		flaky.When(func(_ []rotation.Cond, then []rotation.Op) statetest.Outcome {
			count++
			if slices.ContainsFunc(then, func(op rotation.Op) bool {
				return strings.Contains(string(op.Value), `"name":"store","state":"running"`)
			}) {
				return statetest.Broken // from the commit on that announces step 4
			}
			return statetest.Pass
		})
		b.paste(id, live)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if w.vault.Version.KeyID != 3 || len(w.applied) > 0 {
			t.Errorf("vault version %d, %d consumers: something was done without a row", w.vault.Version.KeyID, len(w.applied))
		}
		if count > 2*600+100 {
			t.Errorf("%d commits were tried in ten minutes", count)
		}
		flaky.When(nil)
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// A consumer is accepted in step 5 while step 6 has not listed it yet: step 6
// finds it accepted.
func TestAcceptBeforeStepSixLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.applyFail["api"] = []error{denied()}
		var flaky *statetest.Flaky
		b := setUpOn(t, w, func(s rotation.Store) rotation.Store {
			flaky = statetest.NewFlaky(s)
			return flaky
		})
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		flaky.When(func(_ []rotation.Cond, then []rotation.Op) statetest.Outcome {
			if slices.ContainsFunc(then, func(op rotation.Op) bool {
				return strings.Contains(string(op.Value), `"name":"verify","state":"running","round":1,"items"`)
			}) {
				return statetest.Broken
			}
			return statetest.Pass
		})
		b.paste(id, w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepVerify, "")
		b.until(id, "step 5 done but for api", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPropagate).WaitsFor == operator.ID })
		flaky.When(nil)
		b.must(b.engine.Accept(t.Context(), operator, id, rotation.StepPropagate, b.round(id, rotation.StepPropagate), "api", "it is switched off"))
		b.retryAll(id) // whatever shared a commit with step 6's list failed as well
		r := b.over(id)
		if it := r.Step(rotation.StepVerify).Item("api"); it.State != rotation.Skipped || it.PassWhy == "" {
			t.Errorf("api in step 6 = %s (%q), want accepted", it.State, it.PassWhy)
		}
	})
}

// A commit was done, its answer was lost, and so was the look after it: memory
// is behind the file, and must not stay so.
func TestMemoryCatchesUpWithTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flaky *statetest.Flaky
		blind := false
		var mu sync.Mutex
		b := setUpOn(t, newWorld(), func(s rotation.Store) rotation.Store {
			flaky = statetest.NewFlaky(s)
			return shakyStore{Store: flaky, fails: func() bool {
				mu.Lock()
				defer mu.Unlock()
				was := blind
				blind = false // one look is lost
				return was
			}}
		})
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		live := b.w.click("acc-1", "NEW1")
		synctest.Wait() // no probe is under way
		flaky.When(func([]rotation.Cond, []rotation.Op) statetest.Outcome {
			mu.Lock()
			defer mu.Unlock()
			blind = true
			return statetest.Written
		})
		_, err := b.engine.Paste(t.Context(), operator, id, live.KeyID, live.Secret)
		flaky.When(nil)
		if err == nil {
			t.Error("Paste = nil though nothing proves that it was sealed")
		}
		if got := b.paste(id, live); !got.Again {
			t.Errorf("second Paste = %+v, want found as sealed", got)
		}
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// Somebody else writes the key set's record while step 8 closes: it is read
// again, and neither is lost.
func TestRecordChangedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var flaky *statetest.Flaky
		b := setUpOn(t, w, func(s rotation.Store) rotation.Store {
			flaky = statetest.NewFlaky(s)
			return flaky
		})
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		other := []rotation.Op{{Key: "keyset/prod", Value: []byte(`{"keyset":"prod","exposed_ms":[7]}`)}}
		var once sync.Once
		flaky.When(func(_ []rotation.Cond, then []rotation.Op) statetest.Outcome {
			if slices.ContainsFunc(then, func(op rotation.Op) bool { return op.Key == "keyset/prod" }) {
				once.Do(func() {
					if _, err := flaky.Store.Txn(context.Background(), nil, other); err != nil {
						t.Error(err)
					}
				})
			}
			return statetest.Pass
		})
		b.paste(id, w.click("acc-1", "NEW1"))
		b.over(id)
		if rec, err := b.engine.Remembered(t.Context(), "prod"); err != nil || len(rec.Exposed) != 2 || rec.Exposed[0] != 7 {
			t.Errorf("record %+v (%v), want the other's exposed time and ours", rec, err)
		}
	})
}

// R83: two people start at the same moment. Both get the one rotation, and both
// can act on it at once.
func TestTwoStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, newWorld())
		defer b.close()
		var wg sync.WaitGroup
		ids := make([]rotation.ID, 8)
		for i := range ids {
			wg.Go(func() {
				id, _, err := b.engine.Start(t.Context(), operator, "prod")
				ids[i] = id
				if err == nil {
					err = b.engine.TakeOver(t.Context(), bob, id)
				}
				if err != nil {
					t.Errorf("start %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("rotations %v, want one", ids)
			}
		}
	})
}

// A pair that is pasted while step 8 looks around is not lost to the commit
// that closes the rotation: it is tried, and the live one stays.
func TestPasteWhileClosing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		reached, goOn := make(chan struct{}, 10), make(chan struct{})
		b.w.set(func() { b.w.onSurvey = func() { reached <- struct{}{}; <-goOn } })
		b.paste(id, live)
		<-reached
		next := b.w.click("acc-1", "NEW2") // somebody generated again
		if got := b.paste(id, next); got.Sealed.N != 2 {
			t.Errorf("Paste = %+v, want candidate 2", got.Sealed)
		}
		close(goOn)
		r := b.over(id)
		b.holds(next, "api", "ci", "dev")
		if r.Chosen != 2 {
			t.Errorf("chosen %d, want 2", r.Chosen)
		}
	})
}

// R55, R57: an order that was refused was not placed, so Retry may send it; one
// whose fate is not known is never sent again.
func TestRefusedOrderIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuses = true
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, true)
		b.paste(id, w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepVerify, "test_order")
		w.set(func() { w.refuses, w.noBook, w.loseSent = false, true, true })
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepVerify, 1, "test_order"))
		b.until(id, "order unknown", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepVerify).Item("test_order").Problem.Reason == "order_unknown"
		})
		w.set(func() { w.noBook = false })
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepVerify, 1, "test_order"))
		b.until(id, "order unknown again", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepVerify).Item("test_order")
			return it.State == rotation.Failed && it.Round == 2
		})
		if w.placed != 1 {
			t.Errorf("placed %d, want 1", w.placed)
		}
		b.must(b.engine.Accept(t.Context(), operator, id, rotation.StepVerify, 1, "test_order", "seen in the dashboard"))
		b.over(id)
	})
}

// R60: a candidate that was never tried and belongs to another account is no
// superseded pair: that account may live, and step 7 does not wait for it.
func TestForeignCandidateIsNotSuperseded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.down = true })
		b.paste(id, b.w.click("acc-2", "ELS2"))
		b.until(id, "tried in vain", func(r *rotation.Rotation) bool { return r.Candidates[0].Verdict == rotation.Unknown })
		b.must(b.engine.Regenerate(t.Context(), operator, id, rotation.StepValidate, 1))
		b.paste(id, live)
		b.w.set(func() { b.w.down = false })
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// R87: two presses of Updated at the same moment are one, with one row.
func TestUpdatedTwiceAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := b.engine.Updated(t.Context(), bob, id, "dev"); err != nil {
					t.Errorf("Updated = %v", err)
				}
			})
		}
		wg.Wait()
		rows := 0
		for _, row := range b.rows(id) {
			if row.Row.Context["state"] == "updated" {
				rows++
			}
		}
		if rows != 1 {
			t.Errorf("%d rows, want 1", rows)
		}
	})
}
