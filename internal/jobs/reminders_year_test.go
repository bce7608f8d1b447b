package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The simulated year. The default is 100 key sets in memory; the long form is
// the same on a real file, looking more often.
var (
	yearOf   = flag.Int("reminders.keysets", 100, "key sets in the simulated year of reminders")
	yearSeed = flag.Uint64("reminders.seed", 5, "seed of the simulated year")
	yearLong = flag.Bool("reminders.long", false, "the simulated year on a real file, scanned every minute")
)

// A memory is a store that forgets when the test ends. It keeps to what
// [rotation.Store] says, which the suite of the real store checks.
type memory struct {
	rotation.Store // nil: neither Snapshot nor Close

	mu   sync.Mutex
	keys []string // sorted
	kvs  map[string]rotation.KV
	rev  rotation.Rev
}

func newMemory() *memory { return &memory{kvs: map[string]rotation.KV{}} }

func (m *memory) Get(_ context.Context, key string) (rotation.KV, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kv, ok := m.kvs[key]
	if !ok {
		return rotation.KV{}, rotation.ErrNotFound
	}
	return kv, nil
}

func (m *memory) List(_ context.Context, prefix, after string, limit int) ([]rotation.KV, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []rotation.KV
	i, _ := slices.BinarySearch(m.keys, max(prefix, after))
	for ; i < len(m.keys) && strings.HasPrefix(m.keys[i], prefix) && (limit == 0 || len(list) < limit); i++ {
		if m.keys[i] > after {
			list = append(list, m.kvs[m.keys[i]])
		}
	}
	return list, nil
}

func (m *memory) Txn(_ context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range conds {
		if m.kvs[c.Key].Rev != c.Rev {
			return 0, rotation.ErrConflict
		}
	}
	m.rev++
	for _, op := range then {
		i, found := slices.BinarySearch(m.keys, op.Key)
		switch {
		case op.Delete && found:
			m.keys = slices.Delete(m.keys, i, i+1)
			delete(m.kvs, op.Key)
		case op.Delete:
		default:
			if !found {
				m.keys = slices.Insert(m.keys, i, op.Key)
			}
			m.kvs[op.Key] = rotation.KV{Key: op.Key, Value: slices.Clone(op.Value), Rev: m.rev}
		}
	}
	return m.rev, nil
}

// A witness is a store that is killed like a [mortal], and notes whose delivery
// could not be written down any more.
type witness struct {
	*mortal
	mu   sync.Mutex
	lost map[string]bool // keys of notes
}

func (w *witness) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	rev, err := w.mortal.Txn(ctx, conds, then)
	for _, op := range then {
		if key, ok := strings.CutPrefix(op.Key, "told/"); ok && err != nil {
			w.mu.Lock()
			w.lost[key] = true
			w.mu.Unlock()
		}
	}
	return rev, err
}

// A reminded is one note as it should arrive once.
type reminded struct {
	keyset, due, to string
	rung            int // days left on the rung's day
}

// reached returns the last rung on a day; false: none yet.
func reached(left int) (int, bool) {
	switch {
	case left < 0:
		return left, true
	case left == 0, left == 1:
		return left, true
	case left <= 7:
		return 7, true
	case left <= 14:
		return 14, true
	}
	return 0, false
}

// TestYear: a year of many key sets, in a zone with DST, with stops and kills
// at random. Whenever the bot has been up for an hour, everybody has been told
// of the rung that was reached last, and nobody was told twice, but where the
// process died between Slack's answer and its commit: that one says so.
func TestYear(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		zone := newYork(t)
		rnd := rand.New(rand.NewPCG(*yearSeed, 6))
		s := &shelf{due: map[string]string{}}
		owners := map[string][]string{}
		for i := range *yearOf {
			name := fmt.Sprintf("set%02d", i)
			s.names = append(s.names, name)
			s.due[name] = b.began.AddDate(0, 0, 20+rnd.IntN(180)).Format(time.DateOnly)
			owners[name] = []string{fmt.Sprintf("U%dA", i), fmt.Sprintf("U%dB", i)}[:1+i%2]
		}
		store, lost := rotation.Store(newMemory()), map[string]bool{}
		if b.scan = 45 * time.Minute; *yearLong {
			b.scan, store = time.Minute, b.store
		}
		lives, kills, checks, told := 0, 0, 0, map[reminded]bool{}
		for end := b.began.AddDate(1, 0, 0); time.Now().Before(end); lives++ {
			m := &witness{mortal: &mortal{Store: store, left: 1 << 30, late: rnd.IntN(2) == 0}, lost: map[string]bool{}}
			if lives > 0 && rnd.IntN(2) == 0 { // in the first it learns since when it is to count
				m.left = 1 + rnd.IntN(*yearOf)
			}
			_, stop := b.reminding(m, s, owners, zone)
			for up, hours := time.Now(), 12+rnd.IntN(140); time.Since(up) < time.Duration(hours)*time.Hour; {
				time.Sleep(time.Hour)
				checks += b.allTold(m.mortal, s, owners, zone, told)
				s.rotateSome(rnd, zone)
			}
			stop()
			maps.Copy(lost, m.lost)
			if m.left <= 0 {
				kills++
			}
			time.Sleep(time.Duration(rnd.IntN(48*60)) * time.Minute)
		}
		doubled := b.onceEach(t, lost)
		t.Logf("%d key sets, %d lives, %d of them killed, %d notes, %d times looked whether somebody was told: 0 lost, 0 doubled; apart from those %d came twice, and said so, because the process died between Slack's answer and its commit", *yearOf, lives, kills, len(b.notes), checks, doubled)
		if checks < 100**yearOf || len(b.notes) < 5**yearOf {
			t.Errorf("%d looks at %d notes: the test did not see enough", checks, len(b.notes))
		}
	})
}

// allTold fails the test if somebody was not told of the rung that was reached
// last although the bot lives, and returns how many it looked at. It adds to
// told what arrived.
func (b *bench) allTold(m *mortal, s *shelf, owners map[string][]string, zone *time.Location, told map[reminded]bool) int {
	b.t.Helper()
	m.mu.Lock()
	alive := m.left > 0
	m.mu.Unlock()
	now := time.Now().In(zone)
	if !alive || now.Hour() < 10 {
		return 0
	}
	b.mu.Lock()
	for _, n := range b.notes[max(0, len(b.notes)-6**yearOf):] { // at most what two looks can bring
		told[b.remindedBy(n)] = true
	}
	b.mu.Unlock()
	checks := 0
	for _, name := range s.names {
		rung, ok := reached(daysLeft(s.due[name], now))
		if !ok {
			continue
		}
		for _, to := range owners[name] {
			checks++
			if want := (reminded{name, s.due[name], to, rung}); !told[want] {
				b.t.Fatalf("%s: nobody told %+v", now.Format(time.DateTime), want)
			}
		}
	}
	return checks
}

func (b *bench) remindedBy(n noteSeen) reminded {
	left, err := strconv.Atoi(n.Note.Data[rotation.NoteDays])
	if err != nil {
		b.t.Fatalf("days of %+v: %v", n, err)
	}
	rung, _ := reached(left)
	return reminded{n.Note.KeySet, n.Note.Data[rotation.NoteDue], n.To, rung}
}

// onceEach fails the test if anything came twice whose delivery was written down,
// or without saying so, and returns how many came twice because of a death
// between Slack's answer and the commit.
func (b *bench) onceEach(t *testing.T, lost map[string]bool) int {
	t.Helper()
	arrived := b.of("note")
	if len(arrived) != len(b.notes) {
		t.Fatalf("%d calls and %d notes", len(arrived), len(b.notes))
	}
	seen, doubled := map[reminded]bool{}, 0
	for i, n := range b.notes {
		r := b.remindedBy(n)
		if seen[r] {
			doubled++
			if !arrived[i].Again {
				t.Errorf("%+v came twice, and the second did not say so", r)
			}
			if key := fmt.Sprintf("due/%s/%s/%d/%s", r.keyset, r.due, r.rung, r.to); !lost[key] {
				t.Errorf("%+v came twice although its delivery was written down (%s)", r, key)
			}
		}
		seen[r] = true
	}
	return doubled
}

// rotateSome rotates what is overdue, some of it at once and some of it late.
func (s *shelf) rotateSome(rnd *rand.Rand, zone *time.Location) {
	now := time.Now().In(zone)
	for _, name := range s.names {
		if left := daysLeft(s.due[name], now); left <= 0 && rnd.IntN(72) == 0 {
			s.rotated(name, now.AddDate(0, 0, 180).Format(time.DateOnly))
		}
	}
}

// daysLeft counts from now's day to due. It is asked a million times in a year,
// so it reads the day by hand.
func daysLeft(due string, now time.Time) int {
	n := func(s string) int { v, _ := strconv.Atoi(s); return v }
	d := time.Date(n(due[:4]), time.Month(n(due[5:7])), n(due[8:]), 0, 0, 0, 0, time.UTC)
	y, m, day := now.Date()
	return int(d.Sub(time.Date(y, m, day, 0, 0, 0, 0, time.UTC)).Hours() / 24)
}
