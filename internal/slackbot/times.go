package slackbot

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"
)

// Times are how long the Slack side waits for what. A field that is zero has
// the value named beside it; tests set shorter ones.
type Times struct {
	Second  time.Duration // from the first socket being up to the second being opened; 60 s
	Alone   time.Duration // how long the second waits for the first to be up before it reconnects; 5 s
	Open    time.Duration // between two requests for a socket, at least; 1 s
	OpenMax time.Duration // the same while sockets keep failing; 30 s
	Settled time.Duration // a socket that ends sooner than this has failed; 10 s
	Stable  time.Duration // a socket that lives this long ends the slower pace; 1 min
	Hello   time.Duration // how long a socket may take to be greeted; 15 s
	Ping    time.Duration // a socket without a ping of Slack for this long is dead; 30 s
	Refused time.Duration // until the next try after an error that only a person can mend; 5 min
	Answers time.Duration // how long the answers under way may take when the bot stops; 2 s
	Flush   time.Duration // how long the library may take to write the last of them; 50 ms

	Roster time.Duration // from one look at who belongs to what to the next; 40 s
	Again  time.Duration // the same after a failure; 5 s
	First  time.Duration // how long the first socket waits for the first look; 3 s

	Home time.Duration // between two drawings of one person's Home tab; 10 s
	Look time.Duration // from one look at whether Home tabs are out of date to the next; 1 min

	Redraw time.Duration // until a view is tried again that Slack refused; 10 s
}

func (t Times) withDefaults() Times {
	return Times{
		Second:  cmp.Or(t.Second, time.Minute),
		Alone:   cmp.Or(t.Alone, 5*time.Second),
		Open:    cmp.Or(t.Open, time.Second),
		OpenMax: cmp.Or(t.OpenMax, 30*time.Second),
		Settled: cmp.Or(t.Settled, 10*time.Second),
		Stable:  cmp.Or(t.Stable, time.Minute),
		Hello:   cmp.Or(t.Hello, 15*time.Second),
		Ping:    cmp.Or(t.Ping, 30*time.Second),
		Refused: cmp.Or(t.Refused, 5*time.Minute),
		Home:    cmp.Or(t.Home, 10*time.Second),
		Look:    cmp.Or(t.Look, time.Minute),
		Redraw:  cmp.Or(t.Redraw, 10*time.Second),
		Answers: cmp.Or(t.Answers, 2*time.Second),
		Flush:   cmp.Or(t.Flush, 50*time.Millisecond),
		Roster:  cmp.Or(t.Roster, 40*time.Second),
		Again:   cmp.Or(t.Again, 5*time.Second),
		First:   cmp.Or(t.First, 3*time.Second),
	}
}

// pause waits for d, or until woken or ctx ends; it returns ctx's error then.
// woken may be nil.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-woken:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// jittered returns d and up to an eighth more, so that what failed together
// does not come back together.
func jittered(d time.Duration) time.Duration {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return d + d/8*time.Duration(b[0])/256
}
