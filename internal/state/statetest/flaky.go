// Package statetest is what tests need of a [rotation.Store]: a suite that
// every implementation must pass, and a wrapper that fails on demand. Only
// tests import it.
package statetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// An Outcome is what becomes of a transaction in a [Flaky].
type Outcome int

// The outcomes.
const (
	Pass      Outcome = iota // as the store below answers
	Conflict                 // nothing is written; ErrConflict
	Unwritten                // nothing is written; ErrUnknown
	Written                  // the store below does it; ErrUnknown unless that fails
	Broken                   // nothing is written; an error that is neither
)

// A Flaky is a store whose transactions fail on demand. Reads pass through.
type Flaky struct {
	rotation.Store

	mu    sync.Mutex
	queue []Outcome
	when  func(conds []rotation.Cond, then []rotation.Op) Outcome
	txns  int
}

var _ rotation.Store = (*Flaky)(nil)

// NewFlaky wraps store. Until it is told otherwise everything passes.
func NewFlaky(store rotation.Store) *Flaky { return &Flaky{Store: store} }

// Next sets what becomes of the next transactions, in order, after those that
// an earlier call set.
func (f *Flaky) Next(outcomes ...Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, outcomes...)
}

// When sets who decides about transactions for which Next says nothing. nil
// lets them pass. choose must not call f.
func (f *Flaky) When(choose func(conds []rotation.Cond, then []rotation.Op) Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.when = choose
}

// Txns returns how many transactions were asked for.
func (f *Flaky) Txns() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.txns
}

// Txn implements [rotation.Store].
func (f *Flaky) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	switch f.choose(conds, then) {
	case Conflict:
		return 0, fmt.Errorf("injected: %w", rotation.ErrConflict)
	case Unwritten:
		return 0, fmt.Errorf("injected, not written: %w", rotation.ErrUnknown)
	case Written:
		if _, err := f.Store.Txn(ctx, conds, then); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("injected, written: %w", rotation.ErrUnknown)
	case Broken:
		return 0, errBroken
	case Pass:
	}
	return f.Store.Txn(ctx, conds, then)
}

// errBroken is what Broken returns.
var errBroken = errors.New("injected: disk full")

func (f *Flaky) choose(conds []rotation.Cond, then []rotation.Op) Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.txns++
	if len(f.queue) > 0 {
		next := f.queue[0]
		f.queue = f.queue[1:]
		return next
	}
	if f.when != nil {
		return f.when(conds, then)
	}
	return Pass
}
