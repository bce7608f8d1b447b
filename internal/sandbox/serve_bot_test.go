package sandbox

import "testing"

// TestStopAtTheStart stops a bot that was started a moment ago, as somebody does
// who moves the clock twice: it ends in order, and the next one runs.
func TestStopAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keeper{w: w, ctx: t.Context()}
	for range 3 {
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := k.Stop(); err != nil {
			t.Fatalf("Stop right after Start = %v, want nil\n%s", err, tail(w.Log()))
		}
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each leap is a stop and a start
		if err := k.Advance(oneDay); err != nil {
			t.Fatalf("Advance right after a start = %v, want nil\n%s", err, tail(w.Log()))
		}
	}
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
}
