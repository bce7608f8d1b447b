package rotation

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Rev is a store-wide, increasing revision; 0 means the key is absent.
type Rev uint64

// A KV is one stored record.
type KV struct {
	Key   string
	Value []byte // the caller's own copy
	Rev   Rev
}

// A Cond holds if the record under Key has revision Rev; 0 means that there is
// no such record.
type Cond struct {
	Key string
	Rev Rev
}

// An Op puts Value under Key, or deletes Key.
type Op struct {
	Key    string
	Value  []byte
	Delete bool
}

// Errors of a [Store].
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("changed by somebody else")
	ErrUnknown  = errors.New("outcome unknown") // sent, no answer: read back before repeating
)

// A Store keeps records. Nothing above it may assume more than what Txn
// guards.
type Store interface {
	// Get returns ErrNotFound if there is no record under key.
	Get(ctx context.Context, key string) (KV, error)
	// List returns up to limit records whose key starts with prefix and comes
	// after after, in key order; limit 0 means all.
	List(ctx context.Context, prefix, after string, limit int) ([]KV, error)
	// Txn does all of then if every cond holds, or nothing. What it did is
	// durable when it returns nil, and all its records have the returned
	// revision. ErrConflict: a condition did not hold. ErrUnknown: read back.
	Txn(ctx context.Context, conds []Cond, then []Op) (Rev, error)
	// Snapshot writes a consistent copy that can be opened as a store.
	Snapshot(ctx context.Context, w io.Writer) error
	Close() error
}

// A Row is one line of the audit record. It never holds a secret.
type Row struct {
	At       time.Time      `json:"at"`
	Rotation ID             `json:"rotation,omitempty"`
	KeySet   string         `json:"keyset,omitempty"`
	Step     StepName       `json:"step,omitempty"`
	Actor    string         `json:"actor"`           // R62: the admin ID
	Slack    string         `json:"slack,omitempty"` // Slack user ID behind it
	Action   string         `json:"action"`          // "secret.rotate.started"
	Context  map[string]any `json:"context,omitempty"`
}

// A Chain appends to the audit record. Extend returns what a [Store.Txn] needs
// to append rows after the present head, and the sequence and hash of the last
// of them; the transaction fails with ErrConflict if somebody appended first.
type Chain interface {
	Extend(ctx context.Context, rows []Row) (Extension, error)
}

// An Extension is how rows are appended to the audit record.
type Extension struct {
	If   []Cond
	Then []Op
	Seq  uint64 // of the last row
	Head string // its hash, lower-case hex
}

// A Ref says what a sealed value belongs to. It is sealed with the value and
// compared on opening, so that two blobs cannot be swapped.
type Ref struct {
	Rotation ID
	KeySet   string
	Field    string // "old" or "candidate/1"
}

// A Sealer encrypts pairs at rest. Print is a keyed fingerprint of a pair: the
// same pair always has the same one, and it says nothing without the key.
type Sealer interface {
	Seal(ref Ref, p Pair) ([]byte, error)
	Open(ref Ref, sealed []byte) (Pair, error)
	Print(p Pair) string
}

// A Vendor is the service whose keys are rotated.
type Vendor interface {
	// Probe asks who the pair belongs to (R19, R35). It never retries, and
	// what went wrong is part of the answer.
	Probe(ctx context.Context, p Pair) Probe
	// Survey reads positions, open orders and the market clock (R18, R22).
	Survey(ctx context.Context, p Pair) (Survey, error)
}

// A Book is the vendor's paper order book, seen with a pair.
type Book interface {
	// Orders returns orders of any status created at or after since, newest
	// first. With clientID set it returns the one order with that client ID,
	// or none.
	Orders(ctx context.Context, p Pair, clientID string, since time.Time) ([]Order, error)
	// Cancel asks to cancel. It returns nil if the order is final already, or
	// gone; what became of it is read with Orders.
	Cancel(ctx context.Context, p Pair, orderID string) error
	// Sell sends a market day order that closes qty of symbol, under clientID;
	// sending the same clientID twice returns the first order.
	Sell(ctx context.Context, p Pair, clientID, symbol, qty string) (Order, error)
}

// A Stored is what the vault holds for a key set.
type Stored struct {
	Pair     Pair    // a half that is absent is empty
	Version  Version // 0: absent
	Approval string  // not "" if a change waits for approval
}

// A Vault stores the pair where consumers' people read it from (R40–R43).
type Vault interface {
	// Ready tries login, read and, as far as that changes nothing, write (3.1).
	Ready(ctx context.Context) Readiness
	// Read returns the current values. A name that is absent is no error.
	Read(ctx context.Context) (Stored, error)
	// Write sets both values in one request, both or neither. With upsert it
	// also creates absent names. Writing the same pair again makes a new
	// version of it and is otherwise harmless.
	Write(ctx context.Context, p Pair, upsert bool) error
}

// A Delivery is a pair on its way to a consumer.
type Delivery struct {
	Rotation ID
	KeySet   string
	Operator Actor
	Pair     Pair
	Print    string   // keyed fingerprint of Pair
	Last     *Receipt // of the last Apply that succeeded for this consumer, in this rotation or an earlier one
}

// A Consumer is a place that must receive the pair.
type Consumer interface {
	// Ready tries, without changing anything, what Apply will need.
	Ready(ctx context.Context) Readiness
	// Apply delivers the pair. It looks first and does nothing if the consumer
	// has it already, so repeating is safe.
	Apply(ctx context.Context, d Delivery) (Receipt, error)
	// Verify looks once whether the consumer uses the pair that r delivered.
	// The caller polls until Done.
	Verify(ctx context.Context, d Delivery, r Receipt) (Proof, error)
}

// A Downstream is a consumer's own endpoint that says whether its trading
// account works (R52, R53).
type Downstream interface {
	Check(ctx context.Context) (Proof, error)
}

// A Trader places the test order through a consumer (R55, R57).
type Trader interface {
	// Ready checks what can be checked without placing anything.
	Ready(ctx context.Context) Readiness
	// Place sends the order once and returns the order ID that the consumer
	// reports. A fault of kind Unknown means it may have been placed.
	Place(ctx context.Context, clientID string) (orderID string, err error)
	// Spec returns the order as configured.
	Spec() OrderSpec
}

// An OrderSpec is the configured test order. Texts are as Alpaca wants them.
type OrderSpec struct {
	Symbol      string
	Qty         string
	Side        string
	Type        string
	TimeInForce string
	LimitPrice  string // "" for a market order
	OwnClientID bool   // the consumer forwards our client order ID
}

// A Notifier reaches people. It is durable: what was accepted is delivered
// even if the bot restarts in between.
type Notifier interface {
	// Reach tries whether the person can be written to, without writing.
	Reach(ctx context.Context, to string) error
	// Send delivers a note once per key and returns nil when it is delivered;
	// a repeat of a delivered key does nothing. If ctx ends first it returns a
	// fault with [ReasonWaiting]: the note is kept and follows by itself.
	Send(ctx context.Context, key, to string, n Note) error
}

// ReasonWaiting is the reason of a fault that says that a note is kept and not
// yet delivered.
const ReasonWaiting = "note_waiting"

// A Note is a message to one person. Its words are made where it is shown.
type Note struct {
	Kind     string            `json:"kind"` // NoteUpdate
	Rotation ID                `json:"rotation"`
	KeySet   string            `json:"keyset"`
	Consumer string            `json:"consumer,omitempty"`
	Data     map[string]string `json:"data,omitempty"` // never secret
}

// NoteUpdate tells a developer to pull the new pair (R46, R47).
const NoteUpdate = "developer_update"

// A KeySet is one account's pair in one environment (R5), with everything that
// is done to rotate it.
type KeySet struct {
	Name        string
	CadenceDays int
	Owners      []string
	Names       Names
	Place       string // of the pair in the vault, for people: "project 3f1c…, prod, /"
	Vault       Vault
	Targets     []Target
	Trader      Trader // nil: no test order
}

// A Target is one configured consumer.
type Target struct {
	Name       string
	Kind       string
	CoveredBy  string     // the other target's name; Consumer is nil then
	Counts     bool       // for the exposed time
	Setup      string     // changes when its entry in bot.yml does; "": only Kind is compared
	Consumer   Consumer   // nil with CoveredBy
	Downstream Downstream // nil: the consumer's own proof is all there is
}
