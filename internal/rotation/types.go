package rotation

import (
	"time"

	"github.com/raxx-app/keyturn/internal/secret"
)

// An ID names one rotation: "r" and ten characters of [0-9a-z].
type ID string

// SOPID and SOPVersion name the procedure that this package follows, and the
// day on which it was last validated (R1).
const (
	SOPID      = "alpaca-paper"
	SOPVersion = "2026-04-24"
)

// AverageDuration is what the SOP says a rotation takes (R1, R6).
const AverageDuration = 5 * time.Minute

// A Pair is a key ID and its secret key, always handled together (R4).
type Pair struct {
	KeyID  secret.Text
	Secret secret.Text
}

// Empty reports whether either half is missing.
func (p Pair) Empty() bool { return p.KeyID.Empty() || p.Secret.Empty() }

// Equal compares both halves.
func (p Pair) Equal(o Pair) bool { return p.KeyID.Equal(o.KeyID) && p.Secret.Equal(o.Secret) }

// Last4 returns the last four characters of the key ID, which people may see.
func (p Pair) Last4() string { return p.KeyID.Tail(4) }

// Names are the names under which the two halves are stored and read: secrets
// in the vault, environment variables in a consumer.
type Names struct {
	KeyID  string
	Secret string
}

// A Trigger is why a rotation runs (R7–R11).
type Trigger string

// The triggers. Only TriggerReset means that the old pair is dead already.
const (
	TriggerScheduled   Trigger = "scheduled"
	TriggerOperator    Trigger = "operator" // suspected compromise
	TriggerOffboarding Trigger = "offboarding"
	TriggerReset       Trigger = "reset" // forced: the account was reset or the key is dead
)

// Triggers lists the triggers in the order in which people are offered them.
func Triggers() []Trigger {
	return []Trigger{TriggerScheduled, TriggerOperator, TriggerOffboarding, TriggerReset}
}

// An Actor is who did something. The zero Actor is nobody.
type Actor struct {
	ID    string // Slack user ID, "local:<login>", or BotActor
	Admin string // audit name (R62): what admin_ids maps ID to; ID itself if nothing does
	Role  string `json:",omitempty"` // as what they were let in: "ops", "ops, on-call", ActedBreakGlass; "": not known
}

// BotActor is the ID under which the bot acts by itself.
const BotActor = "keyturn"

// A StepName is one of the SOP's eight step names.
type StepName string

// The eight steps, in order.
const (
	StepPrecheck  StepName = "precheck"
	StepGenerate  StepName = "generate"
	StepValidate  StepName = "validate"
	StepStore     StepName = "store"
	StepPropagate StepName = "propagate"
	StepVerify    StepName = "verify"
	StepRevoked   StepName = "revoked"
	StepRecord    StepName = "record"
)

// StepNames returns the names in the SOP's order; a step's number is its index
// plus one.
func StepNames() []StepName {
	return []StepName{StepPrecheck, StepGenerate, StepValidate, StepStore, StepPropagate, StepVerify, StepRevoked, StepRecord}
}

// A State is where a step, or an item inside one, stands.
type State string

// The states.
const (
	Pending State = "pending"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Settled reports whether nothing more is going to happen by itself or needs to.
func (s State) Settled() bool { return s == Done || s == Skipped }

// A Problem is what went wrong and what a person can do. The zero Problem is none.
type Problem struct {
	Kind   string `json:"kind,omitempty"`   // fault.Kind's name
	Reason string `json:"reason,omitempty"` // stable, snake_case
	Text   string `json:"text,omitempty"`   // what happened: full sentences
	Fix    string `json:"fix,omitempty"`    // what to do: full sentences
}

// A Fact is one piece of evidence that people and auditors may read.
type Fact struct {
	Name  string `json:"name"`  // stable, snake_case: "release"
	Label string `json:"label"` // for people: "Release"
	Value string `json:"value"` // never secret
}

// An Item is one check or one consumer inside a step.
type Item struct {
	Name    string    `json:"name"` // unique inside the step
	Kind    string    `json:"kind"` // "check", a consumer kind, "test_order", "old_pair"
	State   State     `json:"state"`
	Level   Level     `json:"level,omitempty"` // step 1 only
	Detail  string    `json:"detail,omitempty"`
	Problem Problem   `json:"problem,omitzero"`
	Facts   []Fact    `json:"facts,omitempty"`
	Counts  bool      `json:"counts,omitempty"` // for the exposed time
	Tries   int       `json:"tries,omitempty"`
	Begun   int       `json:"begun,omitempty"` // attempts of all rounds
	Round   int       `json:"round,omitempty"` // how often a person had it done again
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Receipt *Receipt  `json:"receipt,omitempty"` // what Apply left, step 5
	Setup   string    `json:"setup,omitempty"`   // the Target's, when the item was made
	PassBy  string    `json:"pass_by,omitempty"` // who let a failed item pass, and
	PassWhy string    `json:"pass_why,omitempty"`
}

// A Step is one of the eight as it stands in one rotation.
type Step struct {
	Number  int       `json:"number"`
	Name    StepName  `json:"name"`
	State   State     `json:"state"`
	Round   int       `json:"round"` // buttons are bound to it: it is raised each time the step is entered or set back
	Problem Problem   `json:"problem,omitzero"`
	Note    string    `json:"note,omitempty"` // why it was entered again, or what it waits for
	Items   []Item    `json:"items,omitempty"`
	Facts   []Fact    `json:"facts,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// WaitsFor is who or what the step waits for: an actor ID, "bot", or "".
	WaitsFor string `json:"waits_for,omitempty"`
}

// Item returns the item called name, or nil.
func (s *Step) Item(name string) *Item {
	for i := range s.Items {
		if s.Items[i].Name == name {
			return &s.Items[i]
		}
	}
	return nil
}

// A Level says how sure the gate is that a later write will work.
type Level string

// The levels of readiness.
const (
	Ready    Level = "ready"
	Unproven Level = "unproven" // reading cannot prove it
	NotReady Level = "failed"
)

// A Readiness is one consumer's, or the vault's, answer to the gate (R17).
type Readiness struct {
	Level   Level
	Detail  string // what was seen, or why it is unproven
	Problem Problem
	Facts   []Fact
}

// A Verdict is what a probe says about a pair. Unknown is never rounded.
type Verdict string

// The verdicts.
const (
	Valid   Verdict = "valid"
	Invalid Verdict = "invalid"
	Unknown Verdict = "unknown"
)

// A Receipt is what a consumer remembers of an Apply. It is stored, and never
// holds a value.
type Receipt struct {
	At        time.Time         `json:"at"`
	Unchanged bool              `json:"unchanged,omitempty"` // nothing had to be written
	Print     string            `json:"print,omitempty"`     // keyed fingerprint of the pair written
	Data      map[string]string `json:"data,omitempty"`      // the consumer's own: release, updated_at
	Facts     []Fact            `json:"facts,omitempty"`
}

// A Proof is one look at whether a consumer really uses the pair.
type Proof struct {
	Done   bool   // proven; otherwise look again later
	Detail string // what was seen: "release v42 pending"
	Facts  []Fact
}

// A Candidate is one pasted pair. The pair itself is sealed elsewhere.
type Candidate struct {
	N       int       `json:"n"` // 1 is the first paste
	Print   string    `json:"print"`
	Last4   string    `json:"last4"`
	By      Actor     `json:"by"`
	At      time.Time `json:"at"`
	Verdict Verdict   `json:"verdict,omitempty"`
	Account Account   `json:"account,omitzero"`
	Dead    bool      `json:"dead,omitempty"`   // proven rejected
	DeadAt  time.Time `json:"dead_at,omitzero"` // when
	Aside   string    `json:"aside,omitempty"`  // why it is not used: "superseded", "rejected", "other_account"
}

// A Deviation is anything done or skipped against the SOP.
type Deviation struct {
	At   time.Time `json:"at"`
	By   Actor     `json:"by"`
	What string    `json:"what"`
	Why  string    `json:"why"`
}

// An Outcome is how a rotation ended. The zero Outcome: it is open.
type Outcome string

// The outcomes.
const (
	Open      Outcome = ""
	Completed Outcome = "completed"
	Cancelled Outcome = "cancelled"
	StoodDown Outcome = "stood_down" // the bot opened it for a dead key that turned out alive
)

// A Rotation is one run of the SOP for one key set.
type Rotation struct {
	ID       ID      `json:"id"`
	KeySet   string  `json:"keyset"`
	Rev      Rev     `json:"-"` // of the record this was read from
	Trigger  Trigger `json:"trigger"`
	Reason   string  `json:"reason,omitempty"`
	Operator Actor   `json:"operator"`
	Opener   Actor   `json:"opener,omitzero"`     // who opened it; nobody: an older version did, which kept no note of it
	AskedFor Trigger `json:"asked_for,omitempty"` // what it was opened for, or else was first said in step 1; "": nothing yet
	Visitor  Actor   `json:"visitor,omitzero"`    // the last person at step 2
	Outcome  Outcome `json:"outcome,omitempty"`

	Opened time.Time `json:"opened"`
	Closed time.Time `json:"closed,omitzero"`
	Steps  []Step    `json:"steps"`

	Ticks     []string  `json:"ticks,omitempty"` // prerequisites the operator confirmed (R14–R17, R33)
	TestOrder bool      `json:"test_order"`      // chosen before the click (R55)
	Snapshot  *Snapshot `json:"snapshot,omitempty"`
	OldPrint  string    `json:"old_print,omitempty"` // fingerprint of the current pair at the start; "" if none is known
	OldLast4  string    `json:"old_last4,omitempty"`
	OldOwner  *Account  `json:"old_owner,omitempty"` // whose it is, once it was seen alive
	OldBefore Version   `json:"old_before,omitzero"`
	VaultRead bool      `json:"vault_read,omitempty"` // OldBefore is what the vault said, even if that is nothing

	Candidates  []Candidate `json:"candidates,omitempty"`
	Chosen      int         `json:"chosen,omitempty"`       // N of the candidate that steps 4–8 use
	Adopted     *Account    `json:"adopted,omitempty"`      // account that a person declared to be the right one
	StoreAnyway bool        `json:"store_anyway,omitempty"` // although the account is blocked
	StoreLater  bool        `json:"store_later,omitempty"`  // steps 5–7 do not wait for step 4
	Place       string      `json:"place,omitempty"`        // in the vault, as it was configured at the start
	Sighting    *Sighting   `json:"sighting,omitempty"`     // what the bot saw when it opened this by itself; nil: a person did
	Claim       *Claim      `json:"claim,omitempty"`        // who said what happened to the old pair
	Accident    *Accident   `json:"accident,omitempty"`     // what the evidence says happened to it; forced rotations, once a new pair works

	LastOK        time.Time `json:"last_ok,omitzero"`        // last time the old pair was seen alive
	FirstRejected time.Time `json:"first_rejected,omitzero"` // first rejection of the old pair
	SealedAt      time.Time `json:"sealed_at,omitzero"`      // when the chosen pair was committed
	ClickedAt     time.Time `json:"clicked_at,omitzero"`     // when the old pair died, once that is certain
	VerifiedAt    time.Time `json:"verified_at,omitzero"`    // last consumer that counts

	Order      *TestOrder  `json:"order,omitempty"`
	Takeovers  []Takeover  `json:"takeovers,omitempty"`
	Deviations []Deviation `json:"deviations,omitempty"`
	Presses    []Press     `json:"presses,omitempty"` // what people pressed, oldest first
	Summary    *Summary    `json:"summary,omitempty"` // with Completed
	Seq        uint64      `json:"seq,omitempty"`     // audit sequence of the last row, for the summary
	Head       string      `json:"head,omitempty"`    // and its hash
}

// Step returns the step called name. It panics if there is none: the eight are
// made when the rotation is opened.
func (r *Rotation) Step(name StepName) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	panic("rotation: no step " + string(name))
}

// Current returns the step that a person should look at: the first one that is
// not settled, or the last.
func (r *Rotation) Current() *Step {
	for i := range r.Steps {
		if !r.Steps[i].State.Settled() {
			return &r.Steps[i]
		}
	}
	return &r.Steps[len(r.Steps)-1]
}

// Clicked reports whether the point of no return is known to be passed: a pair
// is sealed, or the old one was rejected.
func (r *Rotation) Clicked() bool { return len(r.Candidates) > 0 || !r.FirstRejected.IsZero() }

// A Version is where the two secrets stand in the vault (R16).
type Version struct {
	KeyID  int `json:"key_id"`
	Secret int `json:"secret"`
}

// A TestOrder is the one order of step 6 and what became of it (R55–R57,
// R78–R80).
type TestOrder struct {
	ClientID  string    `json:"client_id"` // ours, also the marker that it was sent once
	ID        string    `json:"id,omitempty"`
	SentAt    time.Time `json:"sent_at"`
	Status    string    `json:"status,omitempty"`
	FilledQty string    `json:"filled_qty,omitempty"`
	Cleanup   string    `json:"cleanup,omitempty"` // "cancelled", "sold", "left"
	CloseID   string    `json:"close_id,omitempty"`
}

// A Summary is what step 8 adds up.
type Summary struct {
	ExposedMS        int64     `json:"exposed_ms"`
	ExposedMaxMS     int64     `json:"exposed_max_ms"`
	PasteToVerified  int64     `json:"paste_to_verified_ms"`
	TookMS           int64     `json:"took_ms"`         // whole rotation (R6)
	NextDue          string    `json:"next_due"`        // calendar day, 2027-05-21
	KeyAgeDays       int       `json:"key_age_days"`    // age of the pair that was replaced; -1: not known
	Lost             []string  `json:"lost,omitempty"`  // what differs from the snapshot, a line each
	Cause            Cause     `json:"cause,omitempty"` // of the old pair's death; forced rotations only
	RotatedAt        time.Time `json:"rotated_at"`
	SnapshotSHA256   string    `json:"snapshot_sha256,omitempty"`
	TextsSHA256      string    `json:"texts_sha256"`
	PreviousRotation ID        `json:"previous_rotation,omitempty"`
}
