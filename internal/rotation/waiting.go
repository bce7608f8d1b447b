package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Roles of people, as they are asked for where who belongs to them is known.
const (
	RoleOps    = "ops"
	RoleOnCall = "oncall"
)

// Kinds of [Note] beside [NoteUpdate].
const (
	NoteWaiting = "waiting" // trading is down and a person is waited for
	NoteIdle    = "idle"    // nothing has happened for long before the click
)

// Rungs of the ladder (3.4 of the design): as whom somebody is told that a
// rotation waits. They are values of [NoteRung].
const (
	RungOperator = "operator"
	RungOnCall   = "oncall"
	RungOwners   = "owners"
	RungOps      = "ops" // in the ops channel
)

// Keys of [Note.Data] in a [NoteWaiting] and a [NoteIdle]. Lists are separated
// by spaces, times are RFC 3339.
const (
	NoteRung     = "rung"
	NoteSince    = "since"    // when the waiting, or the idleness, began
	NoteFor      = "for"      // what is waited for, one sentence
	NoteWhat     = "what"     // what happened, if something did
	NoteFix      = "fix"      // what to do about it
	NoteDown     = "down"     // since when trading fails; absent: it does not
	NoteMaybe    = "maybe"    // "true": whether it fails is not certain
	NoteOperator = "operator" // actor ID; absent: nobody runs the rotation
	NoteMention  = "mention"  // configured Slack IDs of a user group or people
	NoteSkipped  = "skipped"  // Slack users who are on call but not ops, and were not told
	NoteRefused  = "refused"  // why the bot could not cancel an idle rotation
)

// A Waiting is how a rotation waits for a person.
type Waiting struct {
	Since    time.Time // since when, by what is stored: looking twice gives the same
	Last     time.Time // when the newest of the things that wait began; Since if there is one
	Exposed  bool      // trading is down meanwhile
	Certain  bool      // with Exposed: the old pair was rejected, so trading surely fails
	For      string    // what the oldest of them is, one sentence without foreign text but names
	Problem  Problem   // what went wrong with it, if something did; may hold an account number
	Operator Actor     // the zero Actor if the rotation opened by itself
	Claimed  bool      // a person said "It was me": somebody has it
}

// A want is one thing that a person must do.
type want struct {
	since   time.Time
	text    string
	problem Problem
}

// Waiting says whether the rotation waits for a person at now, and how. What
// the bot tries again by itself is no waiting, but for step 4 once a person
// may decide to store later and step 3 once they may store anyway.
func (r *Rotation) Waiting(now time.Time) (Waiting, bool) {
	if r.Outcome != Open {
		return Waiting{}, false
	}
	var all []want
	for i := range r.Steps {
		all = append(all, r.wants(&r.Steps[i], now)...)
	}
	if len(all) == 0 {
		return Waiting{}, false
	}
	slices.SortStableFunc(all, func(a, b want) int { return a.since.Compare(b.since) })
	first := all[0]
	w := Waiting{Since: first.since, Last: all[len(all)-1].since, Exposed: r.down(), Problem: first.problem, For: first.text + "."}
	if n := len(all) - 1; n > 0 {
		w.For = fmt.Sprintf("%s, and %d more.", first.text, n)
	}
	w.Certain = w.Exposed && !r.FirstRejected.IsZero()
	w.Claimed = r.Claim != nil && r.Claim.Mine
	if r.Operator.ID != BotActor {
		w.Operator = r.Operator
	}
	return w, true
}

// wants returns what a person must do at one step.
func (r *Rotation) wants(s *Step, now time.Time) []want {
	if s.State == Failed || s.Name == StepStore && r.MayStoreLater(now) {
		return []want{r.stopped(s, now)}
	}
	if s.State != Running {
		return nil
	}
	switch s.Name {
	case StepPrecheck:
		return r.wantsGoOn(s)
	case StepGenerate:
		return []want{r.wantsPaste(s)}
	case StepValidate:
		if s.Problem.Reason == ReasonBlocked && !r.StoreAnyway {
			return []want{{since: s.Started, text: title(s) + ": the account cannot trade; decide whether to store the pair anyway", problem: s.Problem}}
		}
	case StepStore, StepPropagate, StepVerify, StepRevoked, StepRecord:
	}
	var all []want
	for _, it := range s.Items {
		if it.State == Failed && it.PassWhy == "" {
			all = append(all, want{since: it.Ended, text: title(s) + ": " + it.called() + " failed", problem: it.Problem})
		}
	}
	return all
}

// stopped is what a step wants that failed, or that a person may pass by.
func (r *Rotation) stopped(s *Step, now time.Time) want {
	if s.Name != StepStore || !r.MayStoreLater(now) {
		return want{since: s.Ended, text: title(s) + ": it failed", problem: s.Problem}
	}
	since := s.Started.Add(StoreLaterAfter)
	if s.State == Failed && s.Ended.Before(since) {
		since = s.Ended // it may be passed by as well now, but nothing new is wanted
	}
	problem := s.Problem
	problem.Fix = StoreLaterFix
	return want{since: since, text: title(s) + ": the pair is not stored; decide whether to propagate it now and store it later", problem: problem}
}

// wantsGoOn is what step 1 wants: the operator, as soon as the checks are
// over, or at once if the pair is dead.
func (r *Rotation) wantsGoOn(s *Step) []want {
	since := s.Started
	for _, it := range s.Items {
		since = later(since, it.Ended)
	}
	switch {
	case r.down():
		return []want{{since: later(s.Started, r.FirstRejected), text: title(s) + ": the current pair is dead; press Go on and generate a new one"}}
	case len(s.Items) == 0 || s.openItems():
		return nil
	}
	return []want{{since: since, text: title(s) + ": press Go on"}}
}

// wantsPaste is what step 2 wants: a pair. While the old one works the clock is
// the step's own; its death begins a new one.
func (r *Rotation) wantsPaste(s *Step) want {
	w := want{since: s.Started, text: title(s) + ": generate a pair in the dashboard and paste it"}
	if len(r.Candidates) > 0 {
		w.text = title(s) + ": paste another pair"
		w.problem = Problem{Text: s.Note}
	}
	if r.down() {
		w.since = later(w.since, r.FirstRejected)
		if len(r.Candidates) == 0 {
			w.text = title(s) + ": paste the pair that was generated; only if it is lost, generate once more"
		}
	}
	return w
}

// down reports whether trading fails, as far as that is known: the exposed time
// runs. Before a pair is pasted one rejection is not enough, because keys have
// flapped.
func (r *Rotation) down() bool {
	return r.Exposure().Running && (len(r.Candidates) > 0 || !r.ClickedAt.IsZero())
}

// IdleSince returns since when no person has done anything, and false unless
// the rotation is open and still before the click (3.4 of the design). Opening
// it, Check again and Go on count as doing something; looking does not.
func (r *Rotation) IdleSince() (time.Time, bool) {
	if r.Outcome != Open || r.Clicked() {
		return time.Time{}, false
	}
	at := r.Opened
	for _, name := range []StepName{StepPrecheck, StepGenerate} {
		s := r.Step(name)
		at = later(at, s.Started)
		for _, it := range s.Items {
			at = later(at, it.Started)
		}
	}
	return at, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// title names a step: "Step 5, Propagate".
func title(s *Step) string { return fmt.Sprintf("Step %d, %s", s.Number, Text(s.Name).Title) }
