package rotation

// The kinds of note that come from what runs on a clock. Each goes to one person,
// or to the ops channel.
const (
	NoteReminder = "reminder"  // a key set is due, or overdue
	NoteForced   = "forced"    // the stored pair is dead, and a forced rotation is open: the page
	NoteAlive    = "alive"     // it works again, and the forced rotation stood down
	NoteTogether = "together"  // every pair is rejected at once: the vendor may be at fault
	NoteAccount  = "account"   // the account is blocked, not ACTIVE, or another one
	NoteVault    = "vault"     // the stored pair was changed outside a rotation
	NoteByHand   = "by_hand"   // the stored pair is dead, but a consumer holds one that works
	NoteDrift    = "drift"     // a consumer no longer has what it was given
	NoteLeaver   = "leaver"    // somebody who handled a pair was deactivated
	NoteSilent   = "silent"    // a developer has not pressed Updated
	NoteRollCall = "roll_call" // who has pressed Updated, into the rotation's thread
	NoteCheck    = "check"     // the weekly check of step 1 finds something else than the last one
	NoteBlind    = "blind"     // the stored pair cannot be read, so nobody watches it

	// NoteBreakGlass: somebody acts in the terminal whose membership in ops
	// nobody can vouch for. NotePeople is who, NoteWhat the act, NoteWhy the reason
	// that they gave, NoteSince when.
	NoteBreakGlass = "breakglass"
)

// Keys of [Note.Data] in these notes, beside NoteSince, NoteWhat, NoteFix,
// NoteSkipped and NoteRung. Times are RFC 3339, days are calendar days
// (2027-05-21), lists are separated by spaces. Nothing in them is secret, and an
// account is named by the last four of its number.
const (
	NoteDue       = "due"        // calendar day
	NoteDays      = "days"       // until then; negative: overdue
	NoteMissed    = "missed"     // earlier reminders that could not be sent
	NoteFirstSeen = "first_seen" // calendar day from which the due date is counted; absent: from the last rotation

	NoteReady   = "ready"   // items of step 1 that are ready or not provable
	NoteItems   = "items"   // all of them
	NoteFirst   = "first"   // what to mend first: a full sentence
	NoteExposed = "exposed" // milliseconds, median of the last five rotations
	NoteTimes   = "times"   // how many those were
	NoteMarket  = "market"  // open, closed; absent: not known
	NoteChecked = "checked" // when that was looked at

	NoteLastOK   = "last_ok"  // last answer 200; absent: never seen
	NoteStatus   = "status"   // HTTP status of the rejection, or the account's status
	NoteOldLast4 = "old4"     // last four of the key ID that is meant
	NoteAccount4 = "account4" // last four of the account's number
	NotePeople   = "people"   // Slack users the note is about
	NoteKeySets  = "keysets"  // names of key sets the note is about
	NotePairs    = "pairs"    // with a NoteLeaver, which pair of each of them: "prod=rabcdefghij", its rotation or its fingerprint
	NoteReason   = "reason"   // with a NoteAccount: AccountOther and so on
	NoteDone     = "done"     // Slack users who pressed Updated
	NoteOpen     = "open"     // Slack users who did not
	NoteWhy      = "why"      // the reason that a person gave
	NoteThread   = "thread"   // message in whose thread it is posted; absent: none
)

// What a [NoteAccount] is about; values of [NoteReason].
const (
	AccountOther   = "other"   // the key belongs to another account than before
	AccountBlocked = "blocked" // it is the right one, but it cannot trade
	AccountWell    = "well"    // it is the right one, and can trade again
)
