package rotation_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

func TestExposure(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 4, 24, 3, 0, s, 0, time.UTC) }
	tests := []struct {
		name                           string
		ok, rejected, sealed, verified time.Time
		running                        bool
		took, most, machine            time.Duration
	}{
		{name: "not clicked"},
		{name: "seen dead, no pair yet", ok: at(5), rejected: at(10), running: true},
		{name: "pasted before it was seen dead", ok: at(5), sealed: at(8), rejected: at(10), verified: at(20), took: 12 * time.Second, most: 15 * time.Second, machine: 12 * time.Second},
		{name: "seen dead, then pasted", ok: at(5), rejected: at(10), sealed: at(15), verified: at(20), took: 10 * time.Second, most: 15 * time.Second, machine: 5 * time.Second},
		{name: "never seen alive", rejected: at(10), sealed: at(15), verified: at(20), took: 10 * time.Second, most: 10 * time.Second, machine: 5 * time.Second},
		{name: "seen alive after the paste", ok: at(18), sealed: at(15), rejected: at(19), verified: at(20), took: 5 * time.Second, most: 5 * time.Second, machine: 5 * time.Second},
	}
	for _, tt := range tests {
		r := rotation.Rotation{LastOK: tt.ok, FirstRejected: tt.rejected, SealedAt: tt.sealed, VerifiedAt: tt.verified}
		x := r.Exposure()
		if x.Running != tt.running || x.Took != tt.took || x.AtMost != tt.most || x.Machine != tt.machine {
			t.Errorf("%s: %+v, want running %t, %s (at most %s), machine %s", tt.name, x, tt.running, tt.took, tt.most, tt.machine)
		}
	}
}
