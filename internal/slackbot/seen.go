package slackbot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// seenPrefix starts the keys under which it is kept what was done: + envelope,
// trigger or event.
const seenPrefix = "seen/"

const (
	seenFor    = 2 * time.Hour // Slack may deliver an envelope twice, on any connection, minutes later
	seenClean  = time.Minute   // between two looks for what is older
	seenKeyMax = 120           // bytes of a key; a longer one is kept as its hash
	seenDrop   = 200           // records dropped in one transaction
)

// A seen remembers what was answered to each envelope, so that one that comes
// twice is done once and answered twice.
//
// A record is written after the act, in a transaction of its own, so that no
// answer waits for it. What is guaranteed is this: an envelope with a record
// was done, and is not done again, by the next process neither. One without was
// perhaps done, if the process was killed in between, and is done again; that
// is harmless because every act looks before it acts: a start returns the open
// rotation, buttons are bound to step and round, a pair is known by its
// fingerprint. A record holds no answer and nothing that was typed. The
// submission of a pair gets none: it is known by its fingerprint anyway, and a
// record must never be the reason why a pair is not sealed.
type seen struct {
	store rotation.Store
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	known   map[string]*answered
	stale   []string // keys of records to drop
	cleaned time.Time
}

// An answered is one envelope: done is closed when payload is set.
type answered struct {
	at      time.Time
	done    chan struct{}
	payload any
	earlier bool // it was done by an earlier process, which took the answer with it
	kept    bool // there is a record
}

// seenRecord is what is kept.
type seenRecord struct {
	At time.Time `json:"at"`
}

func newSeen(store rotation.Store, now func() time.Time, log *slog.Logger) *seen {
	return &seen{store: store, now: now, log: log, known: map[string]*answered{}}
}

// load reads what earlier processes did.
func (s *seen) load(ctx context.Context) error {
	kvs, err := s.store.List(ctx, seenPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list seen envelopes: %w", err)
	}
	done := make(chan struct{})
	close(done)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kv := range kvs {
		var rec seenRecord
		if err := json.Unmarshal(kv.Value, &rec); err != nil || s.now().Sub(rec.At) > seenFor {
			s.stale = append(s.stale, kv.Key)
			continue
		}
		s.known[kv.Key] = &answered{at: rec.At, done: done, earlier: true, kept: true}
	}
	return nil
}

// first returns the entry of what keys name, and whether it came for the first
// time: the caller then has to do it and close done.
func (s *seen) first(keys []string) (*answered, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean()
	var a *answered
	for _, k := range keys {
		if known := s.known[seenKey(k)]; known != nil {
			a = known
		}
	}
	fresh := a == nil
	if fresh {
		a = &answered{at: s.now(), done: make(chan struct{})}
	}
	for _, k := range keys {
		s.known[seenKey(k)] = a
	}
	return a, fresh
}

// clean forgets what is old; s.mu is held.
func (s *seen) clean() {
	now := s.now()
	if now.Sub(s.cleaned) < seenClean {
		return
	}
	s.cleaned = now
	for k, a := range s.known {
		if now.Sub(a.at) > seenFor {
			delete(s.known, k)
			if a.kept {
				s.stale = append(s.stale, k)
			}
		}
	}
}

// keep records that a was done, and drops records that are old. If that fails
// it is known until the process ends.
func (s *seen) keep(ctx context.Context, a *answered, keys []string) {
	body, err := json.Marshal(seenRecord{At: a.at})
	if err != nil {
		return // a time that cannot be encoded: there is none
	}
	s.mu.Lock()
	a.kept = true
	drop := s.stale[:min(len(s.stale), seenDrop)]
	s.stale = s.stale[len(drop):]
	s.mu.Unlock()
	ops := make([]rotation.Op, 0, len(keys)+len(drop))
	put := map[string]bool{}
	for _, k := range keys {
		if key := seenKey(k); !put[key] {
			put[key] = true
			ops = append(ops, rotation.Op{Key: key, Value: body})
		}
	}
	for _, k := range drop {
		if !put[k] {
			ops = append(ops, rotation.Op{Key: k, Delete: true})
		}
	}
	if _, err := s.store.Txn(ctx, nil, ops); err != nil {
		s.mu.Lock()
		s.stale = append(s.stale, drop...)
		s.mu.Unlock()
		s.log.WarnContext(ctx, "envelope not recorded", slog.Any("error", err))
	}
}

// again returns the answer to a repeat. What an earlier process answered is
// gone: an empty answer would close a view, so it says where to go on.
func (a *answered) again(evt socketmode.Event) any {
	call, ok := evt.Data.(slack.InteractionCallback)
	if !a.earlier || !ok || call.Type != slack.InteractionTypeViewSubmission {
		return a.payload
	}
	return replace(modals.Refused("This was taken in already, before the bot was restarted.", "Close this window and press Open under the rotation's message in the ops channel.").View())
}

// seenKey is the key of a record. What comes from outside is not trusted to be
// short.
func seenKey(id string) string {
	if len(id) > seenKeyMax {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return seenPrefix + id
}
