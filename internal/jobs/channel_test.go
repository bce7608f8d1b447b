package jobs_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// inBubble runs f with fake time.
func inBubble(t *testing.T, f func(*testing.T, *bench)) {
	t.Helper()
	t.Parallel() // they wait for the disk
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t)
		defer func() { b.close() }()
		f(t, b)
	})
}

// A hundred commits within a second are one message that is updated twice, and
// it ends with the last state.
func TestCommitsCoalesce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		for i := range 100 {
			b.desk.commit("r1", fmt.Sprint("state ", i), rotation.Open)
			time.Sleep(10 * time.Millisecond)
		}
		b.quiet()
		got := b.of("")
		want := []call{
			{At: 0, Method: "post", ID: "r1", State: "state 0", OK: true},
			{At: 10 * time.Millisecond, Method: "update", ID: "r1", State: "state 1", OK: true},
			{At: 1510 * time.Millisecond, Method: "update", ID: "r1", State: "state 99", OK: true},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		b.says("r1", "state 99")
	})
}

// A change that is committed while a message is under way is sent after it,
// and a look that is older than the commit is not taken for the last state.
func TestLastStateArrives(t *testing.T) {
	for name, set := range map[string]func(*bench){
		"call under way": func(b *bench) { b.slow = 700 * time.Millisecond },
		"old look":       func(b *bench) { b.desk.lag = 30 * time.Millisecond },
		"both":           func(b *bench) { b.slow, b.desk.lag = 400*time.Millisecond, 3*time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				set(b)
				b.run()
				for i := range 5 {
					b.desk.commit("r1", fmt.Sprint("state ", i), rotation.Open)
					time.Sleep(300 * time.Millisecond)
				}
				b.desk.commit("r1", "last", rotation.Completed)
				b.quiet()
				b.says("r1", "last")
				if posts := b.of("post"); len(posts) != 1 {
					t.Errorf("posts = %+v, want one", posts)
				}
			})
		})
	}
}

// Updates of all rotations together keep the pace, each gets its turn, and one
// that is over goes first. First messages do not wait.
func TestPaceOverAllRotations(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		ids := []rotation.ID{"r1", "r2", "r3", "r4"}
		for _, id := range ids {
			b.desk.commit(id, "begun", rotation.Open)
		}
		synctest.Wait()
		if posts := b.of("post"); len(posts) != 4 || posts[3].At != 0 {
			t.Fatalf("posts = %+v, want four at once", posts)
		}
		// Changes never come at the very moment of an update: whether the one or the
		// other is first then is the scheduler's choice.
		const every = 490 * time.Millisecond
		for i := range 122 { // 60 s
			for _, id := range ids[:3] {
				b.desk.commit(id, fmt.Sprint("state ", i), rotation.Open)
			}
			if i == 61 { // 29.9 s
				b.desk.commit("r4", "over", rotation.Completed)
			}
			time.Sleep(every)
		}
		over := time.Duration(0)
		count := map[rotation.ID]int{}
		updates := b.of("update")
		for i, c := range updates {
			count[c.ID]++
			if c.ID == "r4" {
				over = c.At
			}
			if i > 0 && c.At-updates[i-1].At < 1500*time.Millisecond {
				t.Errorf("update %d comes %s after the one before, want 1.5s", i, c.At-updates[i-1].At)
			}
		}
		for _, id := range ids[:3] {
			if count[id] < 12 || count[id] > 15 {
				t.Errorf("%d updates of %s in 60s, want about a third of 40: %v", count[id], id, count)
			}
		}
		if len(updates) < 38 || len(updates) > 41 {
			t.Errorf("%d updates in 60s, want about 40", len(updates))
		}
		if count["r4"] != 1 {
			t.Errorf("%d updates of r4, want 1", count["r4"])
		}
		if over < 30*time.Second || over > 31500*time.Millisecond {
			t.Errorf("the rotation that ended at 30s was shown so at %s, want the next turn", over)
		}
		b.quiet()
		for _, id := range ids[:3] {
			b.says(id, "state 121")
		}
		b.says("r4", "over")
	})
}

func TestRateLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.set(func() { b.fails["update"] = []error{limited(30 * time.Second), limited(7 * time.Second)} })
		b.desk.commit("r1", "later", rotation.Open)
		time.Sleep(5 * time.Second)
		b.desk.commit("r2", "begun", rotation.Open) // posts have a limit of their own
		synctest.Wait()
		b.desk.commit("r2", "later", rotation.Open)
		b.desk.commit("r1", "last", rotation.Open)
		b.quiet()
		var at []time.Duration
		for _, c := range b.of("update") {
			at = append(at, c.At)
		}
		if diff := cmp.Diff([]time.Duration{0, 30 * time.Second, 37 * time.Second, 38500 * time.Millisecond}, at); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		if posts := b.of("post"); len(posts) != 2 || posts[1].At != 5*time.Second {
			t.Errorf("posts = %+v, want the second at 5s", posts)
		}
		b.says("r1", "last")
		b.says("r2", "later")
	})
}

// What each answer to a first post leads to: how many copies there are, and
// when and how they were tried.
func TestPostAnswers(t *testing.T) {
	type try struct {
		At    time.Duration
		Again bool
	}
	denied := &fault.Error{Kind: fault.Denied, Reason: "not_in_channel"}
	tests := []struct {
		name   string
		fails  []error
		want   []try
		copies int
	}{
		{name: "works", want: []try{{}}, copies: 1},
		{name: "unknown once", fails: []error{unknown()}, want: []try{{}, {time.Second, true}}, copies: 2},
		{name: "unknown goes slower", fails: []error{unknown(), unknown(), unknown()}, want: []try{{}, {time.Second, true}, {61 * time.Second, true}, {181 * time.Second, true}}, copies: 4},
		{name: "unavailable", fails: []error{transient(), transient(), transient()}, want: []try{{}, {At: time.Second}, {At: 3 * time.Second}, {At: 7 * time.Second}}, copies: 1},
		{name: "unavailable after unknown", fails: []error{unknown(), transient()}, want: []try{{}, {time.Second, true}, {2 * time.Second, true}}, copies: 2},
		{name: "limited", fails: []error{limited(9 * time.Second)}, want: []try{{}, {At: 9 * time.Second}}, copies: 1},
		{name: "not in channel", fails: []error{denied, denied}, want: []try{{}, {At: time.Second}, {At: 3 * time.Second}}, copies: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.fails["post"] = tt.fails
				b.run()
				b.desk.commit("r1", "begun", rotation.Open)
				b.quiet()
				var got []try
				for _, c := range b.of("post") {
					got = append(got, try{c.At, c.Again})
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("posts (-want +got):\n%s", diff)
				}
				if len(b.shown) != tt.copies {
					t.Errorf("%d messages in the channel, want %d", len(b.shown), tt.copies)
				}
				b.says("r1", "begun")
			})
		})
	}
}

// An update whose outcome is unknown is repeated: that changes nothing.
func TestUpdateUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.set(func() { b.fails["update"] = []error{unknown(), transient()} })
		b.desk.commit("r1", "last", rotation.Completed)
		b.quiet()
		if got := len(b.of("update")); got != 3 || len(b.of("post")) != 1 {
			t.Errorf("%d updates, %d posts, want 3 and 1", got, len(b.of("post")))
		}
		b.says("r1", "last")
	})
}

func TestMessageDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		synctest.Wait()
		b.set(func() { clear(b.shown) })
		b.desk.commit("r1", "later", rotation.Open)
		b.quiet()
		posts := b.of("post")
		if len(posts) != 2 || posts[1].Again || len(b.shown) != 1 {
			t.Errorf("posts = %+v and %d messages, want a second post that is no repeat", posts, len(b.shown))
		}
		b.says("r1", "later")
	})
}

// If every message vanishes at once, the channel is not flooded.
func TestMessagesDeletedAlways(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		for i := range 120 { // 10 min
			b.desk.commit("r1", fmt.Sprint("state ", i), rotation.Open)
			time.Sleep(5 * time.Second)
			b.set(func() { clear(b.shown) })
		}
		if got := len(b.of("post")); got != 5 {
			t.Errorf("%d posts in 10 min, want 5: at once, once more, then after 1, 2, 4 min", got)
		}
	})
}

// A post about a rotation that nobody knows is dropped.
func TestUnknownRotation(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.desk.commit("r1", "begun", rotation.Open)
		clear(b.desk.cur)
		if _, err := b.store.Txn(t.Context(), nil, []rotation.Op{{Key: "rotation/r1", Delete: true}}); err != nil {
			t.Fatal(err)
		}
		b.run()
		b.quiet()
		if got := b.of(""); len(got) != 0 {
			t.Errorf("calls = %+v, want none", got)
		}
	})
}

func TestWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.fails["post"] = []error{limited(time.Minute)}
		b.run()
		for range 5 {
			b.desk.commit("r1", "begun", rotation.Open)
			time.Sleep(2 * time.Second)
		}
		n, oldest, err := b.box.Waiting(t.Context())
		if n != 1 || oldest != 10*time.Second || err != nil {
			t.Errorf("Waiting = %d, %s, %v, want 1, 10s (the first change), nil", n, oldest, err)
		}
		b.quiet()
		if n, oldest, err := b.box.Waiting(t.Context()); n != 0 || oldest != 0 || err != nil {
			t.Errorf("Waiting when all is sent = %d, %s, %v, want 0, 0s, nil", n, oldest, err)
		}
	})
}

// Nothing wakes the outbox about what another part committed: it looks by
// itself.
func TestScan(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		synctest.Wait()
		b.desk.tell = func() {}
		b.desk.commit("r1", "begun", rotation.Open)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := b.of("post"); len(got) != 1 || got[0].At != 5*time.Second {
			t.Errorf("posts = %+v, want one after 5s", got)
		}
	})
}

// The kept reference is found again after a restart: the message is updated.
func TestPostedSurvivesRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.desk.commit("r1", "begun", rotation.Open)
		b.quiet()
		b.restart()
		b.desk.commit("r1", "last", rotation.Completed)
		b.quiet()
		if got := len(b.of("post")); got != 1 {
			t.Errorf("%d posts, want 1", got)
		}
		b.says("r1", "last")
		if ref, err := b.box.Posted(t.Context(), "r2"); ref != (jobs.Ref{}) || err != nil {
			t.Errorf("Posted of a rotation without message = %v, %v, want nothing", ref, err)
		}
	})
}
