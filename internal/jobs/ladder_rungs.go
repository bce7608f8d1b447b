package jobs

import (
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The rungs of the ladder: how long an exposed rotation waits before they are
// told (3.4 of the design). The operator is told at once.
const (
	onCallAfter = 5 * time.Minute
	ownersAfter = 15 * time.Minute
	opsAfter    = 30 * time.Minute
)

// A rung is who is told after how long.
type rung struct {
	name    string
	after   time.Duration
	to      []string // Slack users, or the ops channel
	unknown bool     // who it is is not known yet
	skipped []string // left out of to
}

// A caller is one person, or the ops channel, who should know by now, with the
// highest rung that they stand on.
type caller struct {
	to    string
	rung  rung
	below []string // names of the lower rungs that they stand on too
}

// due returns who should know after a rotation has waited that long, each once.
func (l *Ladder) due(keyset string, w rotation.Waiting, waited time.Duration) []caller {
	var callers []caller
	for _, r := range l.rungs(keyset, w) {
		if waited < r.after {
			continue
		}
		for _, to := range r.to {
			i := slices.IndexFunc(callers, func(c caller) bool { return c.to == to })
			if i < 0 {
				callers = append(callers, caller{to: to, rung: r})
				continue
			}
			if callers[i].rung.name == r.name {
				continue // listed twice
			}
			callers[i].below = append(callers[i].below, callers[i].rung.name)
			callers[i].rung = r
		}
	}
	return callers
}

// rungs returns the ladder of a rotation, lowest first. Somebody is always told
// at once: without an operator on-call, without that the owners, and without
// those the ops channel.
func (l *Ladder) rungs(keyset string, w rotation.Waiting) []rung {
	all := []rung{{name: rotation.RungOperator, to: l.operator(w.Operator)}, l.onCall(), l.owners(keyset), {name: rotation.RungOps, after: opsAfter, to: []string{l.cfg.Channel}}}
	for i := range all {
		if all[i].unknown {
			break // soon known; until then nobody higher is woken for it
		}
		if len(all[i].to) > 0 {
			all[i].after = 0
			break
		}
	}
	return all
}

// operator returns the Slack user behind an operator, if there is one.
func (l *Ladder) operator(a rotation.Actor) []string {
	id := a.ID
	if login, ok := strings.CutPrefix(id, "local:"); ok {
		id = l.cfg.Local[login]
	}
	if strings.HasPrefix(id, "U") || strings.HasPrefix(id, "W") {
		return []string{id}
	}
	return nil
}

func (l *Ladder) onCall() rung { return onCallOf(l.cfg.People) }

// onCallOf leaves out who could do nothing when woken: whoever is not in ops.
func onCallOf(roster People) rung {
	people, ops := roster.Members(rotation.RoleOnCall), roster.Members(rotation.RoleOps)
	r := rung{name: rotation.RungOnCall, after: onCallAfter, unknown: people == nil}
	for _, p := range people {
		if ops != nil && !slices.Contains(ops, p) {
			r.skipped = append(r.skipped, p)
			continue
		}
		r.to = append(r.to, p)
	}
	return r
}

// owners are ops where none are configured.
func (l *Ladder) owners(keyset string) rung {
	r := rung{name: rotation.RungOwners, after: ownersAfter, to: l.cfg.Owners[keyset]}
	if len(r.to) == 0 {
		r.to = l.cfg.People.Members(rotation.RoleOps)
		r.unknown = r.to == nil
	}
	return r
}

// note is what one of them is told.
func (l *Ladder) note(o rotation.Overview, w rotation.Waiting, ep episode, c caller) rotation.Note {
	hide := hider(o)
	n := rotation.Note{Kind: rotation.NoteWaiting, Rotation: o.Rotation.ID, KeySet: o.Rotation.KeySet, Data: map[string]string{
		rotation.NoteRung: c.rung.name, rotation.NoteSince: stamp(ep.Start), rotation.NoteFor: hide(w.For),
		rotation.NoteDown: stamp(o.Rotation.Exposure().From), rotation.NoteOperator: w.Operator.ID,
		rotation.NoteWhat: hide(w.Problem.Text), rotation.NoteFix: hide(w.Problem.Fix),
	}}
	if !w.Certain {
		n.Data[rotation.NoteMaybe] = "true"
	}
	if c.rung.name == rotation.RungOps {
		n.Data[rotation.NoteMention] = strings.Join(l.cfg.Mention, " ")
	}
	if len(c.rung.skipped) > 0 {
		n.Data[rotation.NoteSkipped] = strings.Join(c.rung.skipped, " ")
	}
	for k, v := range n.Data {
		if v == "" {
			delete(n.Data, k)
		}
	}
	return n
}

// hider returns a function that hides the account numbers that a rotation
// knows, but for their last four: owners and the channel read the note.
func hider(o rotation.Overview) func(string) string {
	var pairs []string
	for _, n := range o.Numbers() {
		pairs = append(pairs, n, rotation.Masked(n))
	}
	return strings.NewReplacer(pairs...).Replace
}
