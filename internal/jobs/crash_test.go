package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The process is killed at every transaction in turn, before and after it is
// done. Whatever happens, the end is the same: the channel shows the last
// state, the person was told, and a second copy says that it may be one.
func TestKilledAtEveryCommit(t *testing.T) {
	for _, late := range []bool{false, true} {
		for n := 1; n <= 9; n++ {
			t.Run(fmt.Sprintf("commit %d late %t", n, late), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bench) {
					killed(t, b, n, late)
				})
			})
		}
	}
}

// killed lets an outbox live for n transactions, and then another one.
func killed(t *testing.T, b *bench, n int, late bool) {
	t.Helper()
	b.build(&mortal{Store: b.store, left: n, late: late})
	b.run()
	b.desk.commit("r1", "begun", rotation.Open)
	synctest.Wait()
	b.desk.commit("r1", "later", rotation.Open)
	time.Sleep(2 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	first := b.box.Send(ctx, "k", "U0ADA", rotation.Note{Kind: rotation.NoteUpdate})
	b.desk.commit("r1", "last", rotation.Completed)
	time.Sleep(2 * time.Second)

	b.restart()
	if err := b.send("k", "U0ADA"); err != nil {
		t.Errorf("Send after the restart = %v, want nil (before: %v)", err, first)
	}
	b.quiet()
	b.says("r1", "last")
	for _, method := range []string{"post", "note"} {
		calls := b.of(method)
		if len(calls) == 0 || len(calls) > 2 {
			t.Errorf("%d calls of %s, want one or two: %+v", len(calls), method, calls)
		}
		for i, c := range calls {
			// Killed between the mark and the call: nobody can know, so even
			// the only copy says that it may be a repeat.
			if c.Again != (i > 0) && (i > 0 || !late) {
				t.Errorf("%s %d says repeat = %t, want %t", method, i, c.Again, i > 0)
			}
		}
	}
	if first == nil && len(b.of("note")) != 1 {
		t.Errorf("%d notes although the first was known to be delivered, want 1", len(b.of("note")))
	}
	if left, err := b.store.List(t.Context(), rotation.OutboxPrefix, "", 0); err != nil || len(left) != 0 {
		t.Errorf("%d posts left, %v, want none", len(left), err)
	}
}

// The bot is stopped while Slack does not answer although the message arrived:
// it waits 3 s, and the next one repeats it once, and says so.
func TestStoppedDuringCall(t *testing.T) {
	for _, method := range []string{"post", "note"} {
		t.Run(method, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.hang = method
				b.run()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if method == "post" {
					b.desk.commit("r1", "begun", rotation.Open)
					synctest.Wait()
				} else if err := b.box.Send(ctx, "k", "U0ADA", rotation.Note{Rotation: "r1"}); err == nil {
					t.Fatal("Send = nil while Slack hangs")
				}
				stopping := time.Now()
				b.stop()
				if took := time.Since(stopping); took != 3*time.Second {
					t.Errorf("stopping took %s, want 3s", took)
				}
				b.set(func() { b.hang = "" })
				b.restart()
				b.quiet()
				if got := b.of(method); len(got) != 2 || got[0].Again || !got[1].Again {
					t.Errorf("calls = %+v, want one and one repeat", got)
				}
			})
		})
	}
}

// A call that comes back within the grace is written down: no repeat.
func TestStoppedGently(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.slow = 2 * time.Second
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.restart()
		b.quiet()
		if got := b.of(""); len(got) != 1 || !got[0].OK {
			t.Errorf("calls = %+v, want one post", got)
		}
		b.says("r1", "begun")
	})
}

// An update that was under way when the bot was stopped is repeated; a message
// has no second copy.
func TestStoppedDuringUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.set(func() { b.hang = "update" })
		b.desk.commit("r1", "last", rotation.Completed)
		synctest.Wait()
		b.stop()
		b.set(func() { b.hang = "" })
		b.restart()
		b.quiet()
		if posts, updates := b.of("post"), b.of("update"); len(posts) != 1 || len(updates) != 2 {
			t.Errorf("%d posts and %d updates, want 1 and 2", len(posts), len(updates))
		}
		b.says("r1", "last")
	})
}

// A Poster that never answers holds nothing up for ever.
func TestHangingPoster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.hang = "post"
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		time.Sleep(19 * time.Second)
		b.set(func() { b.hang = "" })
		b.quiet()
		if got := b.of("post"); len(got) != 2 || got[1].At != 21*time.Second || !got[1].Again {
			t.Errorf("posts = %+v, want a repeat after 20s and 1s", got)
		}
	})
}

// A disk that refuses for a while delays, and repeats nothing.
func TestStoreRefusesForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		sick := &sickStore{Store: b.store}
		b.build(sick)
		sick.refuse.Store(2)
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		b.quiet()
		if got := b.of("post"); len(got) != 1 || got[0].At != 3*time.Second {
			t.Errorf("posts = %+v, want one after 1s and 2s", got)
		}
		b.says("r1", "begun")
	})
}

// A store that never says what it did is read back: nothing is sent twice.
func TestCommitsOfUnknownOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.build(&sickStore{Store: b.store, mute: true})
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.desk.commit("r1", "last", rotation.Completed)
		if err := b.send("k", "U0ADA"); err != nil {
			t.Errorf("Send = %v, want nil", err)
		}
		b.quiet()
		b.says("r1", "last")
		if got := b.of(""); len(got) != 3 {
			t.Errorf("calls = %+v, want a post, an update and a note", got)
		}
	})
}
