package rotation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// A read is a rotation that was decoded at a revision.
type read struct {
	rev rotation.Rev
	r   rotation.Rotation
}

// rotations returns every rotation as stored.
func (m *machine) rotations() []rotation.Rotation {
	kvs, err := m.real.List(context.Background(), "rotation/", "", 0)
	if err != nil {
		panic(err)
	}
	all := make([]rotation.Rotation, len(kvs))
	for i, kv := range kvs {
		if m.read[kv.Key].rev != kv.Rev {
			var r rotation.Rotation
			if err := json.Unmarshal(kv.Value, &r); err != nil {
				panic(err)
			}
			m.read[kv.Key] = read{kv.Rev, r}
		}
		all[i] = m.read[kv.Key].r
	}
	slices.SortFunc(all, func(a, b rotation.Rotation) int { return a.Opened.Compare(b.Opened) })
	return all
}

// check looks at everything that must hold after every step.
func (m *machine) check(t *rapid.T) {
	settle()
	m.mu.Lock()
	wrong := strings.Join(m.wrong, "\n")
	m.mu.Unlock()
	if wrong != "" {
		m.fail(t, "%s", wrong)
	}
	open, placed := map[string]rotation.ID{}, 0
	for _, r := range m.rotations() {
		if r.Order != nil {
			placed++
		}
		if r.Outcome != rotation.Open {
			m.closed(t, &r)
			continue
		}
		if other := open[r.KeySet]; other != "" {
			m.fail(t, "two open rotations of %s: %s and %s (R83)", r.KeySet, other, r.ID)
		}
		open[r.KeySet] = r.ID
		m.sealed(t, &r)
	}
	m.w.mu.Lock()
	orders := m.w.placed
	m.w.mu.Unlock()
	if orders > placed {
		m.fail(t, "%d test orders were placed by %d rotations that sent one", orders, placed)
	}
}

// sealed finds every pair of an open rotation that Paste said was sealed.
func (m *machine) sealed(t *rapid.T, r *rotation.Rotation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, p := range m.pasted[r.ID] {
		field := fmt.Sprintf("candidate/%d", n)
		kv, err := m.real.Get(context.Background(), "sealed/"+string(r.ID)+"/"+field)
		var got rotation.Pair
		if err == nil {
			got, err = m.sealer.Open(rotation.Ref{Rotation: r.ID, KeySet: r.KeySet, Field: field}, kv.Value)
		}
		if err != nil || !got.Equal(p) {
			t.Fatalf("candidate %d of open rotation %s is lost: %v", n, r.ID, err)
		}
	}
}

// closed looks at a rotation that is over: a completed one has the pair
// everywhere, or somebody said why not.
func (m *machine) closed(t *rapid.T, r *rotation.Rotation) {
	if left, err := m.real.List(context.Background(), "sealed/"+string(r.ID)+"/", "", 0); err != nil || len(left) > 0 {
		m.fail(t, "%s is over but %d pairs are still sealed (%v)", r.ID, len(left), err)
	}
	if r.Outcome == rotation.StoodDown && (r.Sighting == nil || len(r.Candidates) > 0 || r.Claim != nil || r.Step(rotation.StepPrecheck).State.Settled()) {
		m.fail(t, "%s stood down, but opened by the bot %t, %d candidates, claim %+v, step 1 %s", r.ID, r.Sighting != nil, len(r.Candidates), r.Claim, r.Step(rotation.StepPrecheck).State)
	}
	if m.seen[r.ID] || r.Outcome != rotation.Completed {
		return // what the places hold now may belong to a later rotation
	}
	m.seen[r.ID] = true
	p := m.places[r.KeySet]
	p.mu.Lock()
	defer p.mu.Unlock()
	chosen := r.Candidates[slices.IndexFunc(r.Candidates, func(c rotation.Candidate) bool { return c.N == r.Chosen })]
	for _, it := range r.Step(rotation.StepVerify).Items {
		if it.Kind == "covered_by" || it.Kind == "test_order" && it.State == rotation.Done || m.excused(r, &it) {
			continue
		}
		if it.State == rotation.Done && !p.byHand[it.Name].Before(it.Ended) {
			continue // somebody put another pair there after it was proven: that is the sentinel's to notice
		}
		if it.State != rotation.Done || m.sealer.Print(p.held[it.Name]) != chosen.Print {
			m.fail(t, "%s completed, but %s (%s) does not hold ····%s", r.ID, it.Name, it.State, chosen.Last4)
		}
	}
	for _, target := range m.keySet(r.KeySet).Targets {
		if r.Step(rotation.StepVerify).Item(target.Name) == nil && r.Closed.After(m.edited) {
			m.fail(t, "%s completed, and %s was not looked at", r.ID, target.Name)
		}
	}
	for _, s := range r.Steps {
		if !s.State.Settled() {
			m.fail(t, "%s completed, but step %s is %s", r.ID, s.Name, s.State)
		}
	}
}

// excused reports whether the record says why a consumer, or the test order, was
// not proven: a person accepted it with a reason, or it is configured no more.
func (m *machine) excused(r *rotation.Rotation, it *rotation.Item) bool {
	called := it.Name
	if it.Kind == "test_order" {
		called = "test order"
	}
	return it.State == rotation.Skipped && (it.Detail == "removed from bot.yml" ||
		slices.ContainsFunc(r.Deviations, func(d rotation.Deviation) bool {
			return d.What == called+" was accepted without proof" && d.Why != "" && d.By.ID != ""
		}))
}

// heal ends all faults, then presses what a sane operator would until every
// rotation is over: no reachable state is a dead end.
func (m *machine) heal(t *rapid.T) {
	m.note("heal")
	m.dice.set(false)
	m.w.mu.Lock()
	m.clear = time.Now()
	m.w.down, m.w.flap, m.w.linger, m.w.late, m.w.loseSent, m.w.refuses, m.w.noBook = false, 0, 0, 0, false, false, false
	for id, a := range m.w.accounts {
		a.Flags = nil
		m.w.accounts[id] = a
	}
	m.w.mu.Unlock()
	for _, p := range m.places {
		p.mu.Lock()
		p.vaultDown, p.vaultNext = false, nil
		clear(p.next)
		clear(p.liveAt)
		p.mu.Unlock()
	}
	for range 80 {
		settle()
		if !m.sane(t, true) {
			break
		}
		time.Sleep(40 * time.Second)
		m.check(t)
	}
	for _, r := range m.rotations() {
		if r.Outcome == rotation.Open {
			m.fail(t, "%s does not end, whatever is pressed", r.ID)
		}
		m.ended++
	}
	if _, err := state.Verify(context.Background(), m.real, nil); err != nil {
		m.fail(t, "audit chain: %v", err)
	}
}

// sane does for an open rotation what its view asks for, with all for each of
// them, and reports whether one is open.
func (m *machine) sane(t *rapid.T, all bool) bool {
	any := false
	for _, r := range m.rotations() {
		if r.Outcome != rotation.Open {
			continue
		}
		any = true
		m.do(act{"sane " + r.KeySet, func(ctx context.Context) error { return m.next(ctx, &r) }})
		if !all {
			return true
		}
	}
	if !any && !all {
		by := people.Draw(t, "by")
		m.do(act{"sane start", func(ctx context.Context) error { _, _, err := m.engine.Start(ctx, by, "prod"); return err }})
	}
	return any
}

// next is the operator's next press.
func (m *machine) next(ctx context.Context, r *rotation.Rotation) error {
	by := rotation.Actor{ID: "U0ADA"}
	var errs []error
	for i := range r.Steps {
		s := &r.Steps[i]
		failed := slices.ContainsFunc(s.Items, func(it rotation.Item) bool { return it.State == rotation.Failed && it.PassWhy == "" })
		switch {
		case s.Name == rotation.StepPrecheck && s.State == rotation.Running:
			trigger := rotation.TriggerReset
			if !failed {
				trigger = rotation.TriggerScheduled
			}
			return m.goOn(by, r.ID, trigger, *r, false)(ctx)
		case s.Name == rotation.StepGenerate && s.State == rotation.Running:
			return m.paste(by, r.ID, m.generate(m.account(r)))(ctx)
		case s.Name == rotation.StepValidate && s.State == rotation.Failed && s.Problem.Reason != "account_blocked":
			return m.adoptOr(ctx, by, r, s)
		case s.Name == rotation.StepStore && s.Problem.Reason == "third_value":
			m.undo(r)
			errs = append(errs, m.engine.Retry(ctx, by, r.ID, s.Name, s.Round, ""))
		case s.Name == rotation.StepVerify && s.State == rotation.Running && failed && s.Item("test_order") != nil && s.Item("test_order").State == rotation.Failed:
			errs = append(errs, m.engine.Accept(ctx, by, r.ID, s.Name, s.Round, "test_order", "seen in the dashboard"))
		case s.Name == rotation.StepRevoked && s.Problem.Reason == "old_pair_lingers" && r.Adopted != nil && r.OldOwner != nil:
			m.generate(r.OldOwner.ID) // as the text asks: look whether the old key is still listed, and end it
		case s.State == rotation.Failed || s.State == rotation.Running && failed:
			errs = append(errs, m.engine.Retry(ctx, by, r.ID, s.Name, s.Round, ""))
		}
	}
	return errors.Join(errs...)
}

// adoptOr says that the account is right, or asks for another pair. An account
// that the other key set has taken by mistake is won back by rotating that one
// into its own.
func (m *machine) adoptOr(ctx context.Context, by rotation.Actor, r *rotation.Rotation, s *rotation.Step) error {
	err := m.engine.Adopt(ctx, by, r.ID, s.Round, m.last4(*r), "it is right")
	if err == nil {
		return nil
	}
	if fault.ReasonOf(err) == "owned" {
		other := map[string]string{"prod": "staging", "staging": "prod"}[r.KeySet]
		m.strayed[other] = true
		_, _, startErr := m.engine.Start(ctx, by, other)
		err = errors.Join(err, startErr)
	}
	return errors.Join(err, m.engine.Regenerate(ctx, by, r.ID, s.Name, s.Round))
}

// account is where an operator who reads the view generates: in the account
// that the rotation expects, if it is still there.
func (m *machine) account(r *rotation.Rotation) string {
	switch {
	case m.strayed[r.KeySet]:
	case r.Adopted != nil && !m.gone[r.Adopted.ID]:
		return r.Adopted.ID
	case r.Snapshot != nil && !m.gone[r.Snapshot.Account.ID]:
		return r.Snapshot.Account.ID
	}
	return m.home[r.KeySet]
}

// undo puts back what stood in the vault, as the text of a third value asks.
func (m *machine) undo(r *rotation.Rotation) {
	p := m.places[r.KeySet]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range m.made {
		if m.sealer.Print(old) == r.OldPrint {
			p.vault.Pair = old
			p.vault.Version.KeyID++
			p.vault.Version.Secret++
			return
		}
	}
	p.vault.Pair = rotation.Pair{}
}
