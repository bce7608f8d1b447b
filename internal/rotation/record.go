package rotation

import (
	"slices"
	"time"
)

// Bounds of the record of a rotation, so that its row stays far below what a line
// of an export may have (4 MiB) with a hundred consumers.
const (
	textMax = 1000 // characters of one text
	listMax = 200  // entries of one list
)

// ActedBreakGlass is the [Actor.Role] of a login in the terminal that nobody
// could vouch for.
const ActedBreakGlass = "break-glass"

// What the record says where there is no [Actor.Role].
const (
	actedBot = "bot"
	notKnown = "not recorded" // also who opened a rotation that an older version opened
)

// Why somebody became the operator, where they gave no reason.
const (
	tookOver  = "pressed Take over"
	tookGoOn  = "went on from step 1"
	tookBlame = "said that they killed the pair"
)

// A Takeover is a change of the operator.
type Takeover struct {
	At   time.Time `json:"at"`
	From Actor     `json:"from"` // [BotActor]: it opened by itself
	To   Actor     `json:"to"`
	Why  string    `json:"why"`
}

// RolesOf returns a [Config.Role] for who is a member of [RoleOps] and
// [RoleOnCall] now. members answers from memory; of whom it does not know, no
// role is known.
func RolesOf(members func(role string) []string) func(id string) string {
	return func(id string) string {
		switch {
		case !slices.Contains(members(RoleOps), id):
			return ""
		case slices.Contains(members(RoleOnCall), id):
			return "ops, on-call"
		}
		return "ops"
	}
}

// role is as what somebody acted, as the record says it.
func (a Actor) role() string {
	switch {
	case a.ID == BotActor:
		return actedBot
	case a.Role == "":
		return notKnown
	}
	return a.Role
}

// handOver makes by the operator, and keeps who it was before and why.
func (r *Rotation) handOver(by Actor, why string, now time.Time) {
	if r.Operator.ID != by.ID {
		r.Takeovers = append(r.Takeovers, Takeover{At: now, From: r.Operator, To: by, Why: why})
	}
	r.Operator = by
}

// completedContext is the record of R61–R63 and of the field list at the end
// of docs/requirements.md. The account number is masked.
func (e *Engine) completedContext(cur *Rotation, set *KeySet, told []Notice) map[string]any {
	chosen, sum := cur.candidate(cur.Chosen), cur.Summary
	steps := map[string]any{}
	for i := range cur.Steps {
		s := &cur.Steps[i]
		m := stepContext(s)
		m["started"], m["ended"] = stamp(s.Started), stamp(s.Ended)
		steps[string(s.Name)] = m
	}
	m := map[string]any{
		"secret_name": set.Names.KeyID, "secret_names": []string{set.Names.KeyID, set.Names.Secret},
		"method": "operator-assisted-dashboard", "rotated_at": stamp(sum.RotatedAt),
		"sop": SOPID, "sop_version": SOPVersion, "sop_texts_sha256": sum.TextsSHA256,
		"trigger": string(cur.Trigger), "reason": clip(cur.Reason), "prerequisites": cur.Ticks,
		"operator": cur.Operator.Admin, "operator_role": cur.Operator.role(), "owners": e.audited(set.Owners),
		"lifecycle":       lifecycle(cur),
		"fingerprint_old": cur.OldPrint, "fingerprint_new": chosen.Print, "key_id_last4_old": cur.OldLast4, "key_id_last4_new": chosen.Last4,
		"account": Masked(chosen.Account.Number), "key_age_days": sum.KeyAgeDays,
		"opened": stamp(cur.Opened), "clicked": stamp(cur.ClickedAt), "last_ok": stamp(cur.LastOK), "first_rejected": stamp(cur.FirstRejected),
		"sealed": stamp(cur.SealedAt), "verified": stamp(cur.VerifiedAt),
		"exposed_ms": sum.ExposedMS, "exposed_max_ms": sum.ExposedMaxMS, "paste_to_verified_ms": sum.PasteToVerified,
		"took_ms": sum.TookMS, "took_expected_ms": AverageDuration.Milliseconds(),
		"snapshot_sha256": sum.SnapshotSHA256, "steps": steps,
		"outcome": string(Completed), "next_due": sum.NextDue, "previous_rotation": string(sum.PreviousRotation),
	}
	m["opened_by"], m["role"] = notKnown, notKnown
	if cur.Opener.ID != "" {
		m["opened_by"], m["role"] = cur.Opener.Admin, cur.Opener.role()
	}
	if cur.AskedFor != "" {
		m["asked_for"] = string(cur.AskedFor)
	}
	bounded(m, "differences", sum.Lost, clip)
	bounded(m, "deviations", cur.Deviations, Deviation.context)
	bounded(m, "takeovers", cur.Takeovers, Takeover.context)
	bounded(m, "notices", told, e.noticeContext)
	if sum.KeyAgeDays >= 0 {
		m["days_over_cadence"] = sum.KeyAgeDays - set.CadenceDays
	}
	if cur.Order != nil {
		m["test_order"] = *cur.Order
	}
	if cur.Trigger == TriggerReset {
		m["cause"] = string(sum.Cause)
		if cur.Accident != nil {
			m["evidence"] = cur.Accident.context()
		}
	}
	if cur.Snapshot != nil {
		m["snapshot_at"] = stamp(cur.Snapshot.At)
	}
	if cur.Sighting != nil {
		m["seen"] = sightingContext(*cur.Sighting)
	}
	if cur.Claim != nil {
		m["claim"] = map[string]any{"by": cur.Claim.By.Admin, "what": cur.Claim.What, "did_it": cur.Claim.Mine, "at": stamp(cur.Claim.At)}
	}
	return m
}

// bounded puts a list into the record, at most listMax of it, the oldest
// first; how many more there were is said beside it.
func bounded[T, C any](m map[string]any, name string, all []T, context func(T) C) {
	list := make([]C, 0, min(len(all), listMax))
	for _, v := range all[:min(len(all), listMax)] {
		list = append(list, context(v))
	}
	m[name] = list
	if more := len(all) - len(list); more > 0 {
		m[name+"_left_out"] = more
	}
}

// clip cuts a text of the record after textMax characters, and shows that.
func clip(s string) string {
	if r := []rune(s); len(r) > textMax {
		return string(r[:textMax]) + "…"
	}
	return s
}

func (d Deviation) context() map[string]any {
	return map[string]any{"at": stamp(d.At), "by": d.By.Admin, "role": d.By.role(), "what": clip(d.What), "why": clip(d.Why)}
}

func (t Takeover) context() map[string]any {
	return map[string]any{
		"at": stamp(t.At), "from": t.From.Admin, "from_role": t.From.role(), "to": t.To.Admin, "to_role": t.To.role(), "why": clip(t.Why),
	}
}

// audited returns the audit names of people.
func (e *Engine) audited(people []string) []string {
	names := make([]string, 0, len(people))
	for _, id := range people {
		names = append(names, e.named(Actor{ID: id}).Admin)
	}
	return names
}

// lifecycle says since when each pair was in which state of a key's life. A pair
// that was pasted is not active before it is stored and every consumer that
// counts works with it.
func lifecycle(cur *Rotation) map[string]any {
	pair := map[string]any{"pre-activation": stamp(cur.SealedAt), "active": stamp(later(cur.VerifiedAt, cur.Step(StepStore).Ended))}
	old := map[string]any{}
	if at := cur.compromised(); !at.IsZero() {
		old["compromised"] = stamp(at)
	}
	if cur.OldPrint != "" && cur.Step(StepRevoked).State == Done {
		old["deactivated"] = stamp(cur.ClickedAt)
	}
	return map[string]any{"new": pair, "old": old}
}

// compromised returns since when the old pair is known or said to be lost to a
// reset or a leak; zero: it is not.
func (r *Rotation) compromised() time.Time {
	switch {
	case r.Trigger != TriggerReset && r.Trigger != TriggerOperator:
		return time.Time{}
	case r.Trigger == TriggerReset && !r.FirstRejected.IsZero():
		return r.FirstRejected
	case r.Claim != nil:
		return r.Claim.At
	}
	return r.Opened
}
