package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A caller is a key set's last rotation and who was told of it.
type caller struct {
	mu sync.Mutex
	rc rotation.RollCall
}

func (c *caller) KeySets() []string { return []string{"prod"} }

func (c *caller) Remembered(context.Context, string) (rotation.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rotation.Record{KeySet: "prod", Last: c.rc.Rotation, Completed: c.rc.Completed}, nil
}

func (c *caller) Active(context.Context, string) (rotation.ID, error) {
	return "", rotation.ErrNotFound
}

func (c *caller) RollCall(context.Context, string) (rotation.RollCall, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rc := c.rc
	rc.People = slices.Clone(rc.People)
	return rc, nil
}

// completed makes a rotation that told people.
func (c *caller) completed(id rotation.ID, people ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rc = rotation.RollCall{Rotation: id, Completed: time.Now()}
	for _, p := range people {
		c.rc.People = append(c.rc.People, rotation.Called{ID: p, Consumer: "local-dev", Told: time.Now()})
	}
}

// press is what Updated does.
func (c *caller) press(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.rc.People {
		if c.rc.People[i].ID == id {
			c.rc.People[i].Updated = time.Now()
		}
	}
}

// calling runs an outbox and a roll-call until stop is called.
func (b *bench) calling(store rotation.Store, c *caller) (stop func()) {
	b.build(store)
	b.run()
	r := jobs.NewRollCall(jobs.RollCallConfig{
		Engine: c, Shelf: c, Outbox: b.box, Channel: "C1", Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: b.scan,
		Pull: map[string]map[string]string{"prod": {rotation.NotePlace: "project p1, prod, /"}},
	})
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run = %v, want nil", err)
		}
		b.stop()
	}
}

// rolls returns what arrived, in short.
func (b *bench) rolls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for _, n := range b.notes {
		d := n.Note.Data
		line := fmt.Sprintf("day %d %s %s %s", int(n.At.Hours()/24), n.To, n.Note.Kind, n.Note.Rotation)
		if n.Note.Kind == rotation.NoteRollCall {
			line += fmt.Sprintf(" done [%s] open [%s] thread %s", d[rotation.NoteDone], d[rotation.NoteOpen], d[rotation.NoteThread])
		} else {
			line += fmt.Sprintf(" %s, %s days, %s", n.Note.Consumer, d[rotation.NoteDays], d[rotation.NotePlace])
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

// R46, R47: the roll-call of one rotation, through restarts at every hour.
func TestRollCallR47(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		store, c := newMemory(), &caller{}
		c.completed("r1", "UADA", "UBOB", "UCAT")
		b.desk.store = store
		b.desk.tell = func() {}
		b.desk.commit("r1", "completed", rotation.Completed)
		for hour := range 9 * 24 {
			switch hour {
			case 5:
				c.press("UADA")
			case 30:
				c.press("UBOB")
			case 100:
				c.press("UCAT")
			}
			stop := b.calling(store, c)
			time.Sleep(time.Hour)
			stop()
		}
		want := []string{
			"day 0 C1 roll_call r1 done [] open [UADA UBOB UCAT] thread 1.0",
			"day 1 C1 roll_call r1 done [UADA] open [UBOB UCAT] thread 1.0",
			"day 1 UBOB silent r1 local-dev, 1 days, project p1, prod, /",
			"day 1 UCAT silent r1 local-dev, 1 days, project p1, prod, /",
			"day 3 C1 roll_call r1 done [UADA UBOB] open [UCAT] thread 1.0",
			"day 3 UCAT silent r1 local-dev, 3 days, project p1, prod, /",
			"day 4 C1 roll_call r1 done [UADA UBOB UCAT] open [] thread 1.0",
		}
		if diff := cmp.Diff(want, b.rolls()); diff != "" {
			t.Errorf("roll-call (-want +got):\n%s", diff)
		}
	})
}

// Stages that passed while the bot was down become one; a rotation without
// developers has no roll-call, nor has one that was over a month ago.
func TestRollCallAfterDowntime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		store, c := newMemory(), &caller{}
		c.completed("r1", "UADA")
		time.Sleep(5 * 24 * time.Hour)
		stop := b.calling(store, c)
		time.Sleep(time.Hour)
		want := []string{"day 5 C1 roll_call r1 done [] open [UADA] thread ", "day 5 UADA silent r1 local-dev, 3 days, project p1, prod, /"}
		if diff := cmp.Diff(want, b.rolls()); diff != "" {
			t.Errorf("after five days (-want +got):\n%s", diff)
		}
		c.completed("r2")
		time.Sleep(4 * 24 * time.Hour)
		c.completed("r3", "UADA")
		c.mu.Lock()
		c.rc.Completed = time.Now().Add(-31 * 24 * time.Hour)
		c.mu.Unlock()
		time.Sleep(24 * time.Hour)
		stop()
		if diff := cmp.Diff(want, b.rolls()); diff != "" {
			t.Errorf("without developers, and long ago (-want +got):\n%s", diff)
		}
	})
}

// Who presses while Slack is down is not reminded when it is back, and the next
// rotation ends what waits of the one before.
func TestRollCallTakesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		store, c := newMemory(), &caller{}
		c.completed("r1", "UADA", "UBOB")
		b.set(func() { b.fails["note"] = slices.Repeat([]error{transient()}, 1e6) })
		time.Sleep(2 * 24 * time.Hour)
		stop := b.calling(store, c)
		time.Sleep(time.Minute)
		if n, _, err := b.box.Waiting(t.Context()); n != 3 || err != nil {
			t.Fatalf("%d notes wait (%v), want two to the silent and the list", n, err)
		}
		c.press("UADA")
		time.Sleep(2 * time.Minute)
		if n, _, err := b.box.Waiting(t.Context()); n != 2 || err != nil {
			t.Errorf("%d notes wait (%v) after one has pressed, want 2", n, err)
		}
		c.completed("r2", "UCAT")
		time.Sleep(2 * time.Minute)
		b.set(func() { b.fails["note"] = nil })
		time.Sleep(10 * time.Minute)
		stop()
		for _, line := range b.rolls() {
			if line != "day 2 C1 roll_call r1 done [] open [UADA UBOB] thread " {
				t.Errorf("%s: want only the list of r1, which was said before r2", line)
			}
		}
	})
}

// The process is killed at each transaction in turn, before and after it is
// done: everybody hears of each stage, and twice only with the word that it may
// be a repeat.
func TestRollCallKilled(t *testing.T) {
	for n := 1; n <= 16; n++ {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d late %t", n, late), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bench) {
					b.scan = 10 * time.Minute
					store, c := newMemory(), &caller{}
					c.completed("r1", "UADA", "UBOB")
					time.Sleep(24 * time.Hour)
					stop := b.calling(&mortal{Store: store, left: n, late: late}, c)
					time.Sleep(time.Hour)
					stop()
					stop = b.calling(store, c)
					time.Sleep(time.Hour)
					c.press("UADA")
					c.press("UBOB")
					time.Sleep(time.Hour)
					stop()
					calls := b.of("note")
					seen := map[string]bool{}
					for i, n := range b.notes {
						key := n.To + " " + n.Note.Kind + " " + n.Note.Data[rotation.NoteOpen]
						if seen[key] && !calls[i].Again {
							t.Errorf("%s came twice, and the second did not say so", key)
						}
						seen[key] = true
					}
					for _, want := range []string{"UADA silent ", "UBOB silent ", "C1 roll_call UADA UBOB", "C1 roll_call "} {
						if !seen[want] {
							t.Errorf("nobody was told %q, of %v", want, seen)
						}
					}
				})
			})
		}
	}
}
