package rotation_test

import (
	"context"
	"time"

	"pgregory.net/rapid"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// drawForced draws what the sentinel does, and what people do about a key that
// died by itself. id is an open rotation, or "".
func (m *machine) drawForced(t *rapid.T, by rotation.Actor, id rotation.ID) act {
	keyset := rapid.SampledFrom([]string{"prod", "prod", "staging"}).Draw(t, "forced keyset")
	e, p := m.engine, m.places[keyset]
	p.mu.Lock()
	stored := p.vault.Pair
	p.mu.Unlock()
	what := rapid.SampledFrom([]string{claims[0], claims[1]}).Draw(t, "claim")
	flap := rapid.IntRange(0, 4).Draw(t, "mistaken") == 0
	all := []act{
		{"force " + keyset, func(ctx context.Context) error { return m.force(ctx, keyset, stored, flap) }},
		{"force " + keyset, func(ctx context.Context) error { return m.force(ctx, keyset, stored, flap) }},
		{"reset " + keyset, func(ctx context.Context) error { _, _, err := e.Reset(ctx, by, keyset, "it is gone"); return err }},
		{"adopt by hand " + keyset, func(ctx context.Context) error {
			_, err := e.AdoptByHand(ctx, by, keyset, "api", "it was rotated by hand")
			return err
		}},
		{"snapshot " + keyset, func(ctx context.Context) error {
			probe := m.w.Probe(ctx, stored)
			if probe.Verdict != rotation.Valid {
				return nil
			}
			return e.Snapshot(ctx, keyset, probe, nil)
		}},
		{"check " + keyset, func(ctx context.Context) error { _, err := e.Check(ctx, keyset); return err }},
		{"it was me: " + what, func(ctx context.Context) error { return e.ItWasMe(ctx, by, id, what) }},
		{"stand down", func(ctx context.Context) error { return m.standDown(ctx, id) }},
		{"stand down", func(ctx context.Context) error { return m.standDown(ctx, id) }},
	}
	if id == "" {
		all = all[:6]
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, "forced act")]
}

// sentinel does what it would: it opens where nothing is open, right or wrong,
// and has what it opened stand down.
func (m *machine) sentinel(t *rapid.T) {
	keyset := rapid.SampledFrom([]string{"prod", "staging"}).Draw(t, "watched")
	mistaken := rapid.Bool().Draw(t, "mistaken")
	for _, r := range m.rotations() {
		if r.Outcome == rotation.Open && r.KeySet == keyset {
			m.do(act{"stand down", func(ctx context.Context) error { return m.standDown(ctx, r.ID) }})
			return
		}
	}
	p := m.places[keyset]
	p.mu.Lock()
	stored := p.vault.Pair
	p.mu.Unlock()
	m.do(act{"force " + keyset, func(ctx context.Context) error { return m.force(ctx, keyset, stored, mistaken) }})
}

// claims are what people say they did.
var claims = [...]string{rotation.ClaimRegenerated, rotation.ClaimReset}

// force is the sentinel that is sure that the stored pair is dead; mistaken, if
// the vendor is wrong about it.
func (m *machine) force(ctx context.Context, keyset string, stored rotation.Pair, mistaken bool) error {
	if !mistaken && m.w.Probe(ctx, stored).Verdict != rotation.Invalid {
		return nil
	}
	id, err := m.engine.Force(ctx, rotation.Sighting{KeySet: keyset, Print: m.sealer.Print(stored), Since: time.Now().Add(-31 * time.Second), Status: 401})
	if err != nil {
		return err
	}
	o, err := m.engine.Look(ctx, id)
	if err != nil {
		return err
	}
	if o.Rotation.KeySet != keyset {
		m.complain("Force of %s returned %s, a rotation of %s", keyset, id, o.Rotation.KeySet)
	}
	return nil
}

// standDown must be refused once somebody may have generated; what the answer is
// goes by the pair that is stored now.
func (m *machine) standDown(ctx context.Context, id rotation.ID) error {
	o, err := m.engine.Look(ctx, id)
	if err != nil {
		return err
	}
	p := m.places[o.Rotation.KeySet]
	p.mu.Lock()
	stored := p.vault.Pair
	p.mu.Unlock()
	probe := m.w.Probe(ctx, stored)
	err = m.engine.StandDown(ctx, id, probe)
	if err == nil && probe.Verdict != rotation.Valid {
		m.complain("%s stood down on an answer that is %s", id, probe.Verdict)
	}
	return err
}

// Holds implements rotation.Holder.
func (c modelConsumer) Holds(context.Context) (rotation.Pair, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.held[c.name], nil
}
