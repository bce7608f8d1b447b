package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// R46: a note is delivered once for its key, whoever sends it again, also after
// a restart.
func TestNoteOncePerKeyR46(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := b.send("developers/r1/dev/U0ADA", "U0ADA"); err != nil {
					t.Errorf("Send = %v, want nil", err)
				}
			})
		}
		wg.Wait()
		for range 2 {
			b.restart()
			if err := b.send("developers/r1/dev/U0ADA", "U0ADA"); err != nil {
				t.Errorf("Send after a restart = %v, want nil", err)
			}
		}
		if err := b.send("developers/r2/dev/U0ADA", "U0ADA"); err != nil {
			t.Errorf("Send under another key = %v, want nil", err)
		}
		if got := b.of("note"); len(got) != 2 || got[0].Again || got[1].Again {
			t.Errorf("notes = %+v, want one for each key, no repeats", got)
		}
	})
}

// Notes do not wait for each other, nor for the channel.
func TestNotesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.slow = time.Second
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := b.send(fmt.Sprint("key", i), fmt.Sprint("U", i)); err != nil {
					t.Errorf("Send %d = %v, want nil", i, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(b.began); took != 3*time.Second {
			t.Errorf("20 notes of 1s, 8 at once, took %s, want 3s", took)
		}
	})
}

func TestNoteTransient(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.fails["note"] = []error{transient(), transient(), limited(20 * time.Second), transient()}
		b.run()
		if err := b.send("k", "U0ADA"); err != nil {
			t.Errorf("Send = %v, want nil", err)
		}
		got := b.of("note")
		for i, at := range []int{0, 1, 3, 23, 27} {
			if i >= len(got) || got[i].At != time.Duration(at)*time.Second || got[i].Again {
				t.Fatalf("notes = %+v, want try %d at %ds, no repeat", got, i, at)
			}
		}
		if b.dms["U0ADA"] != 1 {
			t.Errorf("%d copies, want 1", b.dms["U0ADA"])
		}
	})
}

// An unknown outcome is repeated once, and the repeat says so.
func TestNoteUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.fails["note"] = []error{unknown()}
		b.run()
		if err := b.send("k", "U0ADA"); err != nil {
			t.Errorf("Send = %v, want nil", err)
		}
		time.Sleep(time.Hour)
		if got := b.of("note"); len(got) != 2 || got[0].Again || !got[1].Again {
			t.Errorf("notes = %+v, want one and one repeat", got)
		}
	})
}

// What a person must do first is reported, kept and not tried by itself; Send
// tries anew, also after a restart.
func TestNotePermanentFailure(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Denied, fault.Invalid, fault.NotFound} {
		t.Run(kind.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				why := &fault.Error{Kind: kind, Reason: "no_such_user", User: "There is no such user.", Fix: "Change users in bot.yml."}
				b.fails["note"] = []error{why, why}
				b.run()
				for i := range 2 {
					err := b.send("k", "U0ADA")
					if fault.KindOf(err) != kind || fault.ReasonOf(err) != why.Reason || fault.UserText(err) != why.User || fault.FixText(err) != why.Fix {
						t.Errorf("Send %d = %v, %q, %q, want the poster's error", i, err, fault.UserText(err), fault.FixText(err))
					}
					time.Sleep(time.Hour)
					b.restart()
					synctest.Wait()
					if got := len(b.of("note")); got != i+1 {
						t.Fatalf("%d tries after Send %d and an hour, want %d", got, i, i+1)
					}
				}
				if n, _, err := b.box.Waiting(t.Context()); n != 0 || err != nil {
					t.Errorf("Waiting = %d, %v, want none", n, err)
				}
				if err := b.send("k", "U0ADA"); err != nil || b.dms["U0ADA"] != 1 || b.of("note")[2].Again {
					t.Errorf("Send after the repair = %v, %d copies, want one that is no repeat", err, b.dms["U0ADA"])
				}
			})
		})
	}
}

// A bug is not repeated by itself either, but whoever tries again says that it
// may be a repeat.
func TestNoteInternalFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.fails["note"] = []error{errors.New("nobody knows")}
		b.run()
		if err := b.send("k", "U0ADA"); fault.KindOf(err) != fault.Internal {
			t.Errorf("Send = %v, want an internal fault", err)
		}
		if err := b.send("k", "U0ADA"); err != nil || !b.of("note")[1].Again {
			t.Errorf("second Send = %v, notes %+v, want a repeat", err, b.of("note"))
		}
	})
}

// When ctx ends the note still waits, and is delivered without another Send.
func TestSendContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := b.box.Send(ctx, "k", "U0ADA", rotation.Note{Kind: rotation.NoteUpdate}) // nothing runs
		if fault.KindOf(err) != fault.Unknown || fault.ReasonOf(err) != "note_waiting" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send = %v, want note_waiting, unknown, for the deadline", err)
		}
		b.run()
		b.quiet()
		if err := b.send("k", "U0ADA"); err != nil || b.dms["U0ADA"] != 1 {
			t.Errorf("Send after the delivery = %v, %d copies, want nil and 1", err, b.dms["U0ADA"])
		}
		if err := b.box.Send(ctx, "late", "U0ADA", rotation.Note{}); err == nil {
			t.Error("Send with an ended context = nil, want an error")
		}
		if n, _, err := b.box.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("Waiting = %d, %v, want none", n, err)
		}
	})
}

func TestSendNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		for _, in := range [][2]string{{"", "U0ADA"}, {"k", ""}} {
			if err := b.send(in[0], in[1]); fault.KindOf(err) != fault.Invalid {
				t.Errorf("Send(%q, %q) = %v, want invalid", in[0], in[1], err)
			}
		}
		if err := b.box.Reach(t.Context(), "UGONE"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Reach of a person who is gone = %v, want not_found", err)
		}
		if err := b.box.Reach(t.Context(), "U0ADA"); err != nil {
			t.Errorf("Reach = %v, want nil", err)
		}
	})
}
