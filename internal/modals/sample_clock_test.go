package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// due14 is the reminder of the design: 14 days before, with readiness.
func due14() rotation.Note {
	return rotation.Note{Kind: rotation.NoteReminder, KeySet: "prod", Data: map[string]string{
		rotation.NoteDue: "2026-12-19", rotation.NoteDays: "14", rotation.NoteMissed: "0",
		rotation.NoteReady: "12", rotation.NoteItems: "14", rotation.NoteFirst: "GitHub token expires Tuesday, fix it first.",
		rotation.NoteExposed: "38000", rotation.NoteTimes: "5", rotation.NoteMarket: "closed", rotation.NoteChecked: "2026-12-05T09:00:00Z",
	}}
}

// dueIn is a reminder without readiness.
func dueIn(days string) rotation.Note {
	return rotation.Note{Kind: rotation.NoteReminder, KeySet: "prod", Data: map[string]string{rotation.NoteDue: "2026-12-19", rotation.NoteDays: days, rotation.NoteMissed: "0"}}
}

// seenDead is a note of kind about a pair that was seen dead.
func seenDead(kind string) rotation.Note {
	return rotation.Note{Kind: kind, Rotation: "rabcdefghij", KeySet: "prod", Consumer: "raxx-api-prod", Data: map[string]string{
		rotation.NoteSince: "2026-11-22T03:12:04Z", rotation.NoteLastOK: "2026-11-22T03:11:02Z", rotation.NoteStatus: "401",
		rotation.NoteOldLast4: "OLD1", rotation.NoteAccount4: "NB7Q",
	}}
}

func clockNote(kind string, data map[string]string) rotation.Note {
	return rotation.Note{Kind: kind, Rotation: "rabcdefghij", KeySet: "prod", Consumer: "raxx-api-prod", Data: data}
}

// clockNotes are the notes of what runs on a clock, in their main states.
func clockNotes() map[string]rotation.Note {
	silent := note()
	silent.Kind = rotation.NoteSilent
	silent.Data[rotation.NoteSince], silent.Data[rotation.NoteDays] = "2026-11-19T03:12:51Z", "3"
	weekly := with(with(due14(), rotation.NoteSince, "2026-11-28T09:00:00Z"), rotation.NoteMarket, "")
	weekly.Kind = rotation.NoteCheck
	return map[string]rotation.Note{
		"reminder_14":      due14(),
		"reminder_1_open":  with(with(with(due14(), rotation.NoteDays, "1"), rotation.NoteMarket, "open"), rotation.NoteTimes, "1"),
		"reminder_first":   with(dueIn("7"), rotation.NoteFirstSeen, "2026-06-22"),
		"reminder_today":   dueIn("0"),
		"reminder_overdue": with(dueIn("-3"), rotation.NoteMissed, "2"),
		"reminder_bare":    {Kind: rotation.NoteReminder, KeySet: "prod"},
		"forced":           seenDead(rotation.NoteForced),
		"forced_never":     with(with(seenDead(rotation.NoteForced), rotation.NoteLastOK, ""), rotation.NoteSkipped, "U0BOB"),
		"alive":            with(seenDead(rotation.NoteAlive), rotation.NoteLastOK, "2026-11-22T03:20:00Z"),
		"together":         clockNote(rotation.NoteTogether, map[string]string{rotation.NoteKeySets: "prod staging", rotation.NoteSince: "2026-11-22T03:12:04Z"}),
		"account":          clockNote(rotation.NoteAccount, map[string]string{rotation.NoteStatus: "ACTIVE, trading blocked", rotation.NoteAccount4: "NB7Q"}),
		"account_well":     clockNote(rotation.NoteAccount, map[string]string{rotation.NoteReason: rotation.AccountWell, rotation.NoteWhat: "The account is ACTIVE again, and the right one.", rotation.NoteFix: "Nothing must be done."}),
		"check":            weekly,
		"reminder_unknown": with(dueIn("14"), rotation.NoteFirst, "The checks could not be run: Infisical does not answer."),
		"account_other":    clockNote(rotation.NoteAccount, map[string]string{rotation.NoteReason: rotation.AccountOther, rotation.NoteAccount4: "NUM2", rotation.NoteWhat: "The key belongs to another account than before.", rotation.NoteFix: "Type /rotate-alpaca-paper reset."}),
		"vault":            clockNote(rotation.NoteVault, map[string]string{rotation.NoteOldLast4: "NEW9"}),
		"by_hand":          seenDead(rotation.NoteByHand),
		"drift":            clockNote(rotation.NoteDrift, map[string]string{rotation.NoteWhat: "ALPACA_PAPER_API_KEY_ID was written 2026-11-22 09:14 UTC by somebody else."}),
		"blind":            clockNote(rotation.NoteBlind, map[string]string{rotation.NoteSince: "2026-11-22T03:12:04Z", rotation.NoteWhat: "Infisical refused the login."}),
		"leaver":           clockNote(rotation.NoteLeaver, map[string]string{rotation.NotePeople: "U0EVE", rotation.NoteWhat: "They pasted it on 22 Nov 2026."}),
		"leavers":          clockNote(rotation.NoteLeaver, map[string]string{rotation.NotePeople: "U0EVE U0BOB", rotation.NoteKeySets: "prod staging", rotation.NotePairs: "staging=rbbbb prod=raaaa"}),
		"silent":           silent,
		"roll_call":        clockNote(rotation.NoteRollCall, map[string]string{rotation.NoteDone: "U0ADA", rotation.NoteOpen: "U0BOB U0EVE", rotation.NoteThread: "1.2"}),
		"roll_call_done":   clockNote(rotation.NoteRollCall, map[string]string{rotation.NoteDone: "U0ADA U0BOB", rotation.NoteThread: "1.2"}),
		"breakglass":       clockNote(rotation.NoteBreakGlass, map[string]string{rotation.NotePeople: "local:root", rotation.NoteWhat: "start", rotation.NoteWhy: "Slack is down", rotation.NoteSince: "2026-11-22T03:12:04Z"}),
	}
}

// clockMessages are those notes as messages, and what becomes of some.
func clockMessages() map[string]Message {
	all := map[string]Message{}
	for name, n := range clockNotes() {
		all[name] = Note(n)
	}
	past := rotation.Record{KeySet: "prod", Completed: at("03:12:51"), NextDue: "2027-05-21"}
	ask := SnoozeAsk{Bind: Bind{KeySet: "prod", Item: dueItem + "2026-12-19"}, Days: 3, Why: "Ada is back on Monday"}
	all["line_today"], all["line_overdue"] = ChannelNote(dueIn("0")), ChannelNote(dueIn("-3"))
	all["reminder_snoozed"], all["reminder_over"] = NoteSnoozed(rotation.Actor{ID: "U0BOB"}, ask, "2026-12-08"), NoteOver(past)
	all["refusal_over"], all["refusal_taken"], all["refusal_open"] = StartOver(past).Message(), Taken(propagating()).Message(), AlreadyOpen(propagating()).Message()
	all["refusal_stood_down"] = Late(alive(), StartNowAction, Bind{Rotation: "rabcdefghij"}).Message()
	for name, a := range map[string]rotation.Accident{
		"regenerated": {Cause: rotation.CauseRegenerated, Expected: "…NB7Q", Found: "…NB7Q"},
		"replaced":    {Cause: rotation.CauseReplaced, Expected: "…NB7Q", Found: "…NUM2", Created: at("03:03:30"), Lost: []string{"position 3 AAPL: gone", "equity: 100210.10 before, 100000 now"}},
		"wrong":       {Cause: rotation.CauseWrong, Expected: "…NB7Q", Found: "…NUM2"},
		"wrong_owner": {Cause: rotation.CauseWrong, Expected: "…NB7Q", Found: "…NUM2", Owner: "staging"},
		"unknown":     {Cause: rotation.CauseUnknown, Expected: "…NB7Q", Found: "…NUM2"},
	} {
		all["channel_cause_"+name] = Channel(classified(a))
	}
	all["channel_seen_dead"], all["channel_reset_said"], all["channel_stood_down"] = Channel(seen()), Channel(saidReset()), Channel(alive())
	return all
}

func clockViews() map[string]slack.ModalViewRequest {
	bind := Bind{KeySet: "prod", Item: dueItem + "2026-12-19"}
	mine, _ := ItWasMe(seen(), "U0BOB")
	had, _ := ItWasMe(saidReset(), "U0BOB")
	leaving := checked()
	leaving.Rotation.Trigger, leaving.Rotation.Reason = rotation.TriggerOffboarding, LeaverReason([]string{"U0EVE"})
	return map[string]slack.ModalViewRequest{
		"snooze": Snooze(bind, rotation.Posted{Channel: "D0BOB", TS: "1.2"}), "it_was_me": mine, "it_was_me_had": had,
		"adopt_by_hand": AdoptByHand(Bind{KeySet: "prod", Item: "raxx-api-prod"}, rotation.Posted{}), "adopting": Adopting(Bind{Item: "raxx-api-prod"}),
		"precheck_seen_dead": Step(seen()), "precheck_leaver": Step(leaving), "closed_stood_down": Step(alive()),
	}
}

// seen is a rotation that the bot opened because it saw the key dead.
func seen() rotation.Overview {
	o := forcedReset()
	r := &o.Rotation
	r.Trigger, r.Operator, r.Reason = rotation.TriggerReset, rotation.Actor{ID: rotation.BotActor, Admin: rotation.BotActor}, "the bot saw that the key is dead"
	r.Sighting = &rotation.Sighting{KeySet: "prod", Print: "print-old", Since: at("03:04:00"), LastOK: at("03:03:00"), Status: 401}
	r.Step(rotation.StepPrecheck).WaitsFor = rotation.BotActor
	r.FirstRejected, r.LastOK, r.ClickedAt, r.Snapshot.At = at("03:04:00"), at("03:03:00"), at("03:04:00"), at("02:50:00")
	r.Snapshot.Kept = true
	return o
}

// saidReset is a rotation that somebody opened who saw that the account was
// reset.
func saidReset() rotation.Overview {
	o := forcedReset()
	r := &o.Rotation
	r.Trigger, r.Reason = rotation.TriggerReset, "the account was reset or deleted"
	r.Claim = &rotation.Claim{By: r.Operator, What: rotation.ClaimReset, At: at("03:05:00")}
	return o
}

// alive is over: the key works again.
func alive() rotation.Overview {
	o := seen()
	r := &o.Rotation
	r.Outcome, r.Closed, r.LastOK = rotation.StoodDown, at("03:20:05"), at("03:20:00")
	return o
}

// classified is a forced rotation whose new pair works.
func classified(a rotation.Accident) rotation.Overview {
	o := storing()
	r := &o.Rotation
	r.Trigger, r.Accident = rotation.TriggerReset, &a
	r.Sighting = &rotation.Sighting{KeySet: "prod", Since: at("03:04:00"), LastOK: at("03:03:00"), Status: 401}
	return o
}
