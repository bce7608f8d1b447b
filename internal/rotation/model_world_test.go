package rotation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A place is where one key set's pair goes in the model: a vault and consumers
// that fail in every way the real ones do, and that notice what they must never
// be given.
type place struct {
	m      *machine
	keyset string

	mu        sync.Mutex
	vault     rotation.Stored
	vaultDown bool
	vaultNext []string // what becomes of the next writes: "transient", "lost", "denied"
	held      map[string]rotation.Pair
	next      map[string][]string  // the same for applies, by consumer; also "slow"
	byHand    map[string]time.Time // when somebody last put a pair there past the bot
	liveAt    map[string]time.Time
}

// pop takes the first of a queue; "" if it is empty.
func pop(queue *[]string) string {
	if len(*queue) == 0 {
		return ""
	}
	first := (*queue)[0]
	*queue = (*queue)[1:]
	return first
}

// modelFault is the error behind one of the words in a queue.
func modelFault(word string) error {
	kinds := map[string]fault.Kind{"transient": fault.Transient, "lost": fault.Unknown, "denied": fault.Denied}
	return &fault.Error{Kind: kinds[word], Reason: word, Op: "model"}
}

// Ready implements rotation.Vault.
func (p *place) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Unproven}
}

func (p *place) Read(context.Context) (rotation.Stored, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vaultDown {
		return rotation.Stored{}, modelFault("transient")
	}
	return p.vault, nil
}

func (p *place) Write(_ context.Context, pair rotation.Pair, upsert bool) error {
	p.m.given(p.keyset, "", "the vault", pair)
	p.mu.Lock()
	defer p.mu.Unlock()
	word := pop(&p.vaultNext)
	switch {
	case p.vaultDown:
		return modelFault("transient")
	case word == "transient" || word == "denied":
		return modelFault(word)
	case (p.vault.Version.KeyID == 0 || p.vault.Version.Secret == 0) && !upsert:
		return &fault.Error{Kind: fault.NotFound, Reason: "absent", Op: "model"}
	}
	p.vault.Pair = pair
	p.vault.Version.KeyID++
	p.vault.Version.Secret++
	if word == "lost" {
		return modelFault(word)
	}
	return nil
}

// A modelConsumer is one consumer of a place.
type modelConsumer struct {
	p    *place
	name string
}

func (c modelConsumer) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Ready}
}

func (c modelConsumer) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	c.p.m.given(c.p.keyset, d.Rotation, c.name, d.Pair)
	c.p.mu.Lock()
	queue := c.p.next[c.name]
	word := pop(&queue)
	c.p.next[c.name] = queue
	c.p.mu.Unlock()
	switch word {
	case "transient", "denied":
		return rotation.Receipt{}, modelFault(word)
	case "slow":
		select {
		case <-time.After(40 * time.Second):
		case <-ctx.Done():
			return rotation.Receipt{}, ctx.Err()
		}
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.held[c.name] = d.Pair
	if word == "lost" {
		return rotation.Receipt{}, modelFault(word)
	}
	return rotation.Receipt{}, nil
}

func (c modelConsumer) Verify(_ context.Context, d rotation.Delivery, _ rotation.Receipt) (rotation.Proof, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if !c.p.held[c.name].Equal(d.Pair) {
		return rotation.Proof{}, &fault.Error{Kind: fault.Conflict, Reason: "overwritten", Op: "model"}
	}
	return rotation.Proof{Done: !time.Now().Before(c.p.liveAt[c.name]), Detail: "looked"}, nil
}

// given notes that a pair is about to be written, and complains if the engine
// knew, at an earlier moment, that it must not be (R65–R68).
func (m *machine) given(keyset string, id rotation.ID, to string, pair rotation.Pair) {
	ctx := context.Background()
	if id == "" {
		var err error
		if id, err = m.engine.Active(ctx, keyset); err != nil {
			return // an injected read failure: nothing can be said
		}
	}
	o, err := m.engine.Look(ctx, id)
	if err != nil {
		return
	}
	r, print, now := &o.Rotation, m.sealer.Print(pair), time.Now()
	if since := m.deadFor(pair); since > noticed {
		m.complain("%s was given ····%s, which is dead since %s", to, pair.Last4(), since)
	}
	if r.OldPrint == print {
		m.complain("%s was given the old pair ····%s", to, pair.Last4())
	}
	for _, c := range r.Candidates {
		if c.Print != print {
			continue
		}
		moved := r.Step(rotation.StepGenerate).Started
		for _, at := range []time.Time{r.Step(rotation.StepValidate).Started, r.Step(rotation.StepValidate).Ended} {
			if at.After(moved) {
				moved = at
			}
		}
		if c.N != r.Chosen && moved.Before(now) || c.Dead && c.DeadAt.Before(now) {
			m.complain("%s was given ····%s, candidate %d (dead %t, aside %q), though candidate %d was chosen at %s", to, pair.Last4(), c.N, c.Dead, c.Aside, r.Chosen, moved.Format(time.TimeOnly))
		}
		return
	}
	m.complain("%s was given ····%s, which nobody pasted", to, pair.Last4())
}

// noticed is how long the death of the chosen pair may stay unnoticed: it is
// probed every minute, and again 5 s after a rejection.
const noticed = 2 * time.Minute

// deadFor is how long a pair has been dead, and could have been known to be.
func (m *machine) deadFor(p rotation.Pair) time.Duration {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	died, dead := m.w.diedAt[p.KeyID.Reveal()]
	if died = died.Add(m.w.linger); died.Before(m.clear) {
		died = m.clear
	}
	if !dead || m.w.down || m.w.flap > 0 {
		return 0
	}
	return time.Since(died)
}

// complain keeps a violation for the next check: it is found in a goroutine
// that cannot fail the test.
func (m *machine) complain(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

// errRead is what a read of the state fails with now and then.
var errRead = errors.New("injected: read failed")

// A shakyStore fails reads as the Flaky below it fails writes.
type shakyStore struct {
	rotation.Store
	fails func() bool
}

func (s shakyStore) Get(ctx context.Context, key string) (rotation.KV, error) {
	if s.fails() {
		return rotation.KV{}, errRead
	}
	return s.Store.Get(ctx, key)
}

// A dice is a source of chance for goroutines that rapid knows nothing of.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
	on  bool
}

// roll reports true once in n, if the dice are on.
func (d *dice) roll(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.on && d.rng.IntN(n) == 0
}

func (d *dice) set(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = on
}

// A glassSealer keeps pairs readable: age's cost would be most of the model's
// time, and sealing has tests of its own.
type glassSealer struct{}

func (glassSealer) Seal(ref rotation.Ref, p rotation.Pair) ([]byte, error) {
	return json.Marshal([]string{string(ref.Rotation), ref.KeySet, ref.Field, p.KeyID.Reveal(), p.Secret.Reveal()})
}

func (glassSealer) Open(ref rotation.Ref, sealed []byte) (rotation.Pair, error) {
	var s [5]string
	if err := json.Unmarshal(sealed, &s); err != nil {
		return rotation.Pair{}, err
	}
	if want := [3]string{string(ref.Rotation), ref.KeySet, ref.Field}; [3]string(s[:3]) != want {
		return rotation.Pair{}, fmt.Errorf("sealed for %v, opened for %v", s[:3], want)
	}
	return rotation.Pair{KeyID: secret.New(s[3]), Secret: secret.New(s[4])}, nil
}

func (glassSealer) Print(p rotation.Pair) string {
	return p.KeyID.Fingerprint([]byte("k")) + p.Secret.Fingerprint([]byte("s"))
}

// typo is a pair that was never generated.
func typo(p rotation.Pair) rotation.Pair {
	return rotation.Pair{KeyID: p.KeyID, Secret: secret.New(strings.Replace(p.Secret.Reveal(), "b", "d", 1))}
}
