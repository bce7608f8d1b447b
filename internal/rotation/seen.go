package rotation

import (
	"context"
	"time"
)

// A Seen is what the sentinel knows of a key set's stored pair.
type Seen struct {
	Print   string    `json:"-"`                 // fingerprint of that pair
	State   string    `json:"state"`             // "", "alive", "doubted", "held", "dead"; "" is: not known yet
	LastOK  time.Time `json:"last_ok,omitzero"`  // last 200
	Asked   time.Time `json:"asked,omitzero"`    // last probe
	Since   time.Time `json:"since,omitzero"`    // first rejection of this stretch
	Problem string    `json:"problem,omitempty"` // why there is no answer
	Account Account   `json:"account,omitzero"`  // at the last 200
	Drifted []string  `json:"drifted,omitempty"` // consumers that no longer have what they were given
}

// A Sighting is what the sentinel saw of a dead pair.
type Sighting struct {
	KeySet    string    `json:"keyset"`
	Print     string    `json:"print"`            // fingerprint of the pair
	Since     time.Time `json:"since"`            // first rejection
	LastOK    time.Time `json:"last_ok,omitzero"` // last 200; zero: never seen alive
	Status    int       `json:"status,omitempty"` // HTTP status of the last rejection
	Reason    string    `json:"reason,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
}

// A Report is what step 1 finds without a rotation.
type Report struct {
	KeySet   string
	At       time.Time
	Items    []Item
	Snapshot *Snapshot // nil: none could be taken
	Exposed  []int64   // milliseconds, of the last five rotations
	Due      string    // calendar day; "" if the key set was never rotated
}

// A Holder is a consumer whose pair can be read back.
type Holder interface {
	// Holds returns the pair that the consumer has; a half that is absent is
	// empty.
	Holds(ctx context.Context) (Pair, error)
}

// A Keeper is a consumer that can tell by reading whether it still has what it
// was given.
type Keeper interface {
	// Keeps compares the consumer with the last delivery, d.Last, and with
	// d.Pair. It changes nothing.
	Keeps(ctx context.Context, d Delivery) (Drift, error)
}

// A Drift is how a consumer differs from what it was given. The zero Drift is
// none.
type Drift struct {
	Changed bool
	Detail  string // what was seen: "ALPACA_PAPER_API_KEY_ID was written 2026-11-22 09:14 UTC by somebody else"
	Facts   []Fact
}
