package sandbox

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// kills is how many random kills, and as many double kills, are tried. The
// short form also tries only as many of the boundaries as there is time for;
// from 60 on all of them are.
var kills = flag.Int("sandbox.kills", 4, "random kills, and double kills; from 60 on every boundary is tried too")

// killsAtOnce is how many worlds there are at the same time: they mostly wait.
const killsAtOnce = 10

// figures is what many drills add up to.
type figures struct {
	mu                                    sync.Mutex
	drills, died, lost, doubled, reopened int
	unsure, wrong, late                   int
	screens, messages                     int // of before a crash that worked after it
	began                                 time.Time
}

func (f *figures) String() string {
	took := time.Since(f.began)
	return fmt.Sprintf("%d drills, %d kills, %d wrong, %d lost pairs, %d doubled effects, %d dead screens, %d late drawings of step 2, %d test orders asked about; %d screens and %d messages of before a crash worked after it; %.1f s, %.2f s a kill",
		f.drills, f.died, f.wrong, f.lost, f.doubled, f.reopened, f.late, f.unsure, f.screens, f.messages, took.Seconds(), took.Seconds()/float64(max(f.died, 1)))
}

// try plays every list of deaths, several at the same time.
func try(t *testing.T, all [][]death) {
	t.Helper()
	f := &figures{began: time.Now()}
	places := make(chan struct{}, killsAtOnce)
	var wg sync.WaitGroup
	for n, deaths := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			t.Run(fmt.Sprint(n), func(t *testing.T) { f.add(t, newDrill(t, deaths...)) })
		})
	}
	wg.Wait()
	t.Log(f)
	if f.died > 60 && (f.screens == 0 || f.messages == 0) {
		t.Errorf("%d screens and %d messages of before a crash worked after it, want some of each", f.screens, f.messages)
	}
}

func (f *figures) add(t *testing.T, d *drill) {
	t.Helper()
	wrong := wrongOnes(d.whole())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drills++
	f.died += d.died
	f.reopened += d.reopened
	f.unsure += d.asked
	f.late += d.late
	f.screens += len(d.outlived)
	f.messages += d.opened
	for _, c := range wrong {
		switch {
		case strings.HasPrefix(c.Name, pairName):
			f.lost++
		case strings.HasPrefix(c.Name, onceName):
			f.doubled++
		default:
			f.wrong++
		}
	}
	if len(wrong) > 0 {
		t.Error(d.report(wrong))
	}
}

// learn plays a rotation without a crash and returns the points it passes.
func learn(t *testing.T) []Point {
	t.Helper()
	d := newDrill(t)
	if wrong := wrongOnes(d.whole()); len(wrong) > 0 {
		t.Fatal(d.report(wrong))
	}
	return d.lives[0].Points()
}

// TestEveryBoundary kills the bot before and after each transaction, and before
// and after each call to a service. The next one goes on (R64, R82, R83, R87).
func TestEveryBoundary(t *testing.T) {
	t.Parallel()
	points := learn(t)
	all := [][]death{}
	for _, p := range sample(points, 3**kills) {
		all = append(all, []death{{order: order{Die: p}}})
	}
	t.Logf("%d boundaries, %d of them tried", len(points), len(all))
	try(t, all)
}

// sample returns about n of the points, evenly spread; from 180 on, all.
func sample(points []Point, n int) []Point {
	step := max(1, len(points)/max(1, n))
	if n >= 180 {
		step = 1
	}
	var some []Point
	for i := rand.IntN(step); i < len(points); i += step {
		some = append(some, points[i])
	}
	return some
}

// randomDeath is a death at a random time of a life in which people act: half
// of them fall into the time when it matters most.
func randomDeath(r *rand.Rand) death {
	if r.IntN(2) == 0 {
		return death{from: "start", after: time.Duration(r.Int64N(int64(2500 * time.Millisecond)))}
	}
	return death{from: "generated", after: time.Duration(r.Int64N(int64(900 * time.Millisecond)))}
}

// source returns a source of chance whose seed a failure shows.
func source(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1)) // where to kill is no secret
}

// TestRandomKills kills the bot from outside at any time (R64, R82, R83, R87).
func TestRandomKills(t *testing.T) {
	t.Parallel()
	r := source(t)
	var all [][]death
	for range *kills {
		all = append(all, []death{randomDeath(r)})
	}
	try(t, all)
}

// TestDoubleKills kills the bot again while it recovers: at a point, or at a
// time.
func TestDoubleKills(t *testing.T) {
	t.Parallel()
	r := source(t)
	var all [][]death
	for range *kills {
		second := death{order: order{Nth: 1 + r.IntN(120)}}
		if r.IntN(3) == 0 {
			second = death{from: "start", after: time.Duration(r.Int64N(int64(time.Second)))}
		}
		all = append(all, []death{randomDeath(r), second})
	}
	try(t, all)
}
