package rotation_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// An act is something a person does, drawn and ready to be done.
type act struct {
	name string
	do   func(context.Context) error
}

// actions are the steps of the model; done counts them.
func (m *machine) actions(done *atomic.Int64) map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"sane":  func(t *rapid.T) { m.sane(t, false) },
		"sane2": func(t *rapid.T) { m.sane(t, false) },
		"act": func(t *rapid.T) {
			a := m.drawAct(t)
			m.do(a)
		},
		"race": func(t *rapid.T) {
			var wg sync.WaitGroup
			for range rapid.IntRange(2, 3).Draw(t, "racers") {
				a := m.drawAct(t)
				wg.Go(func() { m.do(a) })
			}
			wg.Wait()
		},
		"world":    m.fault,
		"sentinel": m.sentinel,
		"restart":  m.restart,
		"wait": func(t *rapid.T) {
			d := rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 6 * time.Second, 31 * time.Second, 65 * time.Second, 3 * time.Minute, 11 * time.Minute}).Draw(t, "wait")
			m.note("wait %s", d)
			time.Sleep(d)
		},
	}
	for name, f := range all {
		all[name] = func(t *rapid.T) {
			done.Add(1)
			f(t)
		}
	}
	all[""] = m.check
	return all
}

func (m *machine) do(a act) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := a.do(ctx)
	m.note("%s: %v", a.name, err)
}

// restart stops the bot wherever it is and starts it again on the same state.
func (m *machine) restart(t *rapid.T) {
	m.stop()
	if rapid.IntRange(0, 2).Draw(t, "edit bot.yml") == 0 {
		m.late, m.edited = !m.late, time.Now()
	}
	m.note("restart, late consumer %t", m.late)
	m.start(t)
	m.dice.set(rapid.Bool().Draw(t, "shaky"))
}

// fault makes the world worse, or better again.
func (m *machine) fault(t *rapid.T) {
	keyset := rapid.SampledFrom([]string{"prod", "prod", "staging"}).Draw(t, "of")
	p := m.places[keyset]
	consumer := rapid.SampledFrom([]string{"api", "ci", "dev", "late"}).Draw(t, "consumer")
	word := rapid.SampledFrom([]string{"transient", "lost", "denied", "slow"}).Draw(t, "how")
	times := rapid.SampledFrom([]int{1, 1, 9}).Draw(t, "times") // nine take a quarter of a minute
	what := rapid.SampledFrom([]string{
		"vendor down", "vendor up", "vendor late", "flap", "linger", "click", "by hand", "replace account", "block", "vault down", "vault up", "vault write", "third value", "half",
		"consumer", "consumer", "not live", "order lost", "order refused", "order nowhere", "order fills", "shaky", "calm",
	}).Draw(t, "fault")
	m.note("world: %s %s %s %s x%d", what, keyset, consumer, word, times)
	m.w.mu.Lock()
	acc := m.w.accounts[m.home[keyset]]
	m.w.mu.Unlock()
	switch what {
	case "click":
		m.generate(m.home[keyset])
	case "by hand": // and only one consumer is given the pair
		pair := m.generate(m.home[keyset])
		p.mu.Lock()
		p.held["api"], p.byHand["api"] = pair, time.Now()
		p.mu.Unlock()
	case "replace account":
		m.replace(keyset)
	case "shaky", "calm":
		m.dice.set(what == "shaky")
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch what {
	case "vendor down", "vendor up":
		m.w.down, m.clear = what == "vendor down", time.Now()
	case "vendor late":
		m.w.late = rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, 700 * time.Millisecond}).Draw(t, "late by")
	case "flap":
		m.clear = time.Now()
		m.w.flap = rapid.IntRange(1, 4).Draw(t, "probes")
	case "linger":
		m.clear = time.Now()
		m.w.linger = rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 3 * time.Minute}).Draw(t, "linger")
	case "block":
		if acc.Flags = nil; rapid.Bool().Draw(t, "blocked") {
			acc.Flags = []string{"trading_blocked"}
		}
		m.w.accounts[acc.ID] = acc
	case "vault down", "vault up":
		p.vaultDown = what == "vault down"
	case "vault write":
		p.vaultNext = append(p.vaultNext, slices.Repeat([]string{strings.Replace(word, "slow", "transient", 1)}, times)...)
	case "third value":
		p.vault.Pair = pairOf("3RD" + rapid.SampledFrom([]string{"A", "B"}).Draw(t, "value"))
		p.vault.Version.KeyID++
		p.vault.Version.Secret++
	case "half":
		p.vault.Pair.KeyID = m.made[rapid.IntRange(0, len(m.made)-1).Draw(t, "half of")].KeyID
		p.vault.Version.KeyID++
	case "consumer":
		p.next[consumer] = append(p.next[consumer], slices.Repeat([]string{word}, times)...)
	case "not live":
		p.liveAt[consumer] = time.Now().Add(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Minute, 12 * time.Minute}).Draw(t, "for"))
	case "order lost":
		m.w.loseSent = !m.w.loseSent
	case "order refused":
		m.w.refuses = !m.w.refuses
	case "order nowhere":
		m.w.noBook = !m.w.noBook
	case "order fills":
		m.w.fills = !m.w.fills
	}
}

// replace deletes a key set's account and opens a new one.
func (m *machine) replace(keyset string) {
	id := "acc-" + keyset + time.Now().Format("150405.000000")
	m.w.mu.Lock()
	if was := m.w.live[m.home[keyset]]; was != "" {
		m.w.diedAt[was] = time.Now()
	}
	m.w.accounts[id] = rotation.Account{ID: id, Number: "PA3NEW" + id[len(id)-6:], Status: "ACTIVE", CreatedAt: time.Now()}
	m.w.mu.Unlock()
	m.gone[m.home[keyset]], m.home[keyset] = true, id
}

// some returns one of the open rotations, as it is now.
func (m *machine) some(t *rapid.T) (rotation.Rotation, bool) {
	var open []rotation.Rotation
	for _, r := range m.rotations() {
		if r.Outcome == rotation.Open {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return rotation.Rotation{}, false
	}
	return open[rapid.IntRange(0, len(open)-1).Draw(t, "rotation")], true
}

var people = rapid.SampledFrom([]rotation.Actor{{ID: "U0ADA"}, {ID: "U0BOB"}})

// drawAct draws anything that a person could press, at any time, also what the
// view would not offer any more.
func (m *machine) drawAct(t *rapid.T) act {
	by, e := people.Draw(t, "by"), m.engine
	r, ok := m.some(t)
	if rapid.IntRange(0, 5).Draw(t, "forced") == 0 {
		return m.drawForced(t, by, r.ID)
	}
	if !ok || rapid.IntRange(0, 12).Draw(t, "start") == 0 {
		keyset := rapid.SampledFrom([]string{"prod", "prod", "prod", "staging"}).Draw(t, "keyset")
		return act{"start " + keyset, func(ctx context.Context) error { _, _, err := e.Start(ctx, by, keyset); return err }}
	}
	step := rapid.SampledFrom(rotation.StepNames()).Draw(t, "step")
	if rapid.IntRange(0, 3).Draw(t, "current") > 0 {
		step = r.Current().Name
	}
	s := r.Step(step)
	round, item, why := s.Round-rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "late"), "", "because"
	if len(s.Items) > 0 && rapid.Bool().Draw(t, "one item") {
		item = s.Items[rapid.IntRange(0, len(s.Items)-1).Draw(t, "item")].Name
	}
	id := r.ID
	all := []act{
		{"go on", m.goOn(by, id, rapid.SampledFrom(rotation.Triggers()).Draw(t, "trigger"), r, rapid.Bool().Draw(t, "order"))},
		{"retry " + string(step) + " " + item, func(ctx context.Context) error { return e.Retry(ctx, by, id, step, round, item) }},
		{"accept " + string(step) + " " + item, func(ctx context.Context) error { return e.Accept(ctx, by, id, step, round, item, why) }},
		{"redo " + string(step), func(ctx context.Context) error { return e.Redo(ctx, by, id, step, round) }},
		{"regenerate " + string(step), func(ctx context.Context) error { return e.Regenerate(ctx, by, id, step, round) }},
		{"store anyway", func(ctx context.Context) error { return e.StoreAnyway(ctx, by, id, round, why) }},
		{"store later", func(ctx context.Context) error { return e.StoreLaterNow(ctx, by, id, round, why) }},
		{"adopt", func(ctx context.Context) error { return e.Adopt(ctx, by, id, round, m.last4(r), why) }},
		{"take over", func(ctx context.Context) error { return e.TakeOver(ctx, by, id) }},
		{"visit", func(ctx context.Context) error { return e.Visited(ctx, by, id) }},
		{"use for staging", func(ctx context.Context) error { _, err := e.UseFor(ctx, by, id, "staging"); return err }},
		{"cancel", m.cancel(by, r)},
	}
	i := rapid.IntRange(0, len(all)+5).Draw(t, "act")
	if i < len(all) {
		return all[i]
	}
	p := m.made[rapid.IntRange(0, len(m.made)-1).Draw(t, "pair")]
	if i < len(all)+4 {
		p = m.made[len(m.made)-1]
	}
	if rapid.IntRange(0, 5).Draw(t, "typo") == 0 {
		p = typo(p)
	}
	return act{"paste " + p.Last4(), m.paste(by, id, p)}
}

// paste pastes a pair and remembers that it was promised to be sealed.
func (m *machine) paste(by rotation.Actor, id rotation.ID, p rotation.Pair) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := m.engine.Paste(ctx, by, id, p.KeyID, p.Secret)
		if err != nil || got.Problems != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.pasted[id] == nil {
			m.pasted[id] = map[int]rotation.Pair{}
		}
		m.pasted[id][got.Sealed.N] = p
		return nil
	}
}

// goOn leaves step 1 with everything ticked and every failed check passed.
func (m *machine) goOn(by rotation.Actor, id rotation.ID, trigger rotation.Trigger, r rotation.Rotation, order bool) func(context.Context) error {
	in := rotation.GoOn{Trigger: trigger, Reason: "because", Ticks: allTicks(), TestOrder: order, PassWhy: "we know"}
	for _, it := range r.Step(rotation.StepPrecheck).Items {
		in.Pass = append(in.Pass, it.Name)
	}
	return func(ctx context.Context) error {
		_, err := m.engine.GoOn(ctx, by, id, in)
		return err
	}
}

// cancel must be refused once the old pair is dead: then nothing but the new
// one can bring trading back.
func (m *machine) cancel(by rotation.Actor, r rotation.Rotation) func(context.Context) error {
	return func(ctx context.Context) error {
		err := m.engine.Cancel(ctx, by, r.ID, "because")
		if err != nil {
			return err
		}
		o, lookErr := m.engine.Look(ctx, r.ID)
		if lookErr != nil {
			return lookErr
		}
		if now := &o.Rotation; now.OldPrint == "" && now.Step(rotation.StepPrecheck).State == rotation.Done {
			m.complain("%s was cancelled in step 2, though no old pair is known", r.ID)
		} else if flapped := len(now.Candidates) == 0 && (now.Sighting != nil || now.Claim != nil); now.Clicked() && !flapped || now.OldPrint != "" && now.LastOK.Before(time.Now().Add(-time.Second)) {
			m.complain("%s was cancelled: clicked %t, old pair last seen alive %s", r.ID, now.Clicked(), now.LastOK)
		}
		return nil
	}
}

// last4 is what a person who looked would type to adopt an account.
func (m *machine) last4(r rotation.Rotation) string {
	i := slices.IndexFunc(r.Candidates, func(c rotation.Candidate) bool { return c.N == r.Chosen })
	if i < 0 {
		return "????"
	}
	number := r.Candidates[i].Account.Number
	return number[max(0, len(number)-4):]
}

// settle lets everything that needs no time happen, and a moment pass.
func settle() {
	synctest.Wait()
	time.Sleep(time.Millisecond)
	synctest.Wait()
}
