package modals

import (
	"fmt"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const wholeNumber = "PA3TESTNMB7Q" // the sample account's number

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// fresh is a rotation that has just been opened.
func fresh() rotation.Overview {
	r := rotation.Rotation{
		ID: "rabcdefghij", KeySet: "prod", Trigger: rotation.TriggerScheduled,
		Operator: rotation.Actor{ID: "U0ADA", Admin: "ada@raxx.app"}, Opened: at("03:05:00"),
	}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	o := rotation.Overview{
		Rotation:    r,
		Names:       rotation.Names{KeyID: "ALPACA_PAPER_API_KEY_ID", Secret: "ALPACA_PAPER_API_SECRET_KEY"},
		Place:       "project 3f1c…, prod, /",
		CadenceDays: 180,
		Targets: []rotation.TargetInfo{
			{Name: "raxx-api-prod", Kind: "heroku", Counts: true},
			{Name: "raxx-api-staging", Kind: "heroku", Counts: true},
			{Name: "integration-ci", Kind: "github_actions", Counts: true},
			{Name: "local-dev", Kind: "developers"},
			{Name: "demo", Kind: "covered_by", CoveredBy: "raxx-api-prod"},
		},
		Order: &rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "market", TimeInForce: "day"},
		Past: rotation.Record{
			KeySet: "prod", Completed: at("00:00:00").AddDate(0, -5, 0), NextDue: "2026-12-19", Exposed: []int64{41000, 38000, 22000, 35000, 61000},
			Receipts: map[string]rotation.Receipt{
				"raxx-api-prod":    {At: at("00:00:00").AddDate(0, -5, 0)},
				"raxx-api-staging": {At: at("00:00:00").AddDate(0, -5, 0)},
			},
		},
		Now: at("03:20:00"),
	}
	enter(&o, rotation.StepPrecheck, "03:05:00")
	return o
}

func enter(o *rotation.Overview, name rotation.StepName, clock string) *rotation.Step {
	s := o.Rotation.Step(name)
	s.State, s.Started, s.WaitsFor = rotation.Running, at(clock), rotation.BotActor
	s.Round++
	return s
}

func leave(o *rotation.Overview, name rotation.StepName, clock string) {
	s := o.Rotation.Step(name)
	s.State, s.Ended, s.WaitsFor = rotation.Done, at(clock), ""
	if s.Started.IsZero() {
		s.Started = at(clock)
	}
}

func check(name string, level rotation.Level, detail string) rotation.Item {
	it := rotation.Item{Name: name, Kind: "check", State: rotation.Done, Level: level, Detail: detail}
	switch name {
	case "raxx-api-prod", "raxx-api-staging":
		it.Kind = "heroku"
	}
	return it
}

// checking has some checks done and one running.
func checking() rotation.Overview {
	o := fresh()
	o.Rotation.Step(rotation.StepPrecheck).Items = []rotation.Item{
		check("current_pair", rotation.Ready, "works"),
		{Name: "infisical", Kind: "check", State: rotation.Running, Started: at("03:05:01")},
		check("raxx-api-prod", rotation.Unproven, "scope held"),
	}
	return o
}

// checked has every check done and waits for the operator.
func checked() rotation.Overview {
	o := fresh()
	s := o.Rotation.Step(rotation.StepPrecheck)
	s.WaitsFor = "U0ADA"
	s.Items = []rotation.Item{
		check("current_pair", rotation.Ready, "works"),
		check("snapshot", rotation.Ready, "2 positions, 1 open order, market open"),
		check("infisical", rotation.Unproven, "both names read"),
		check("raxx-api-prod", rotation.Unproven, "scope held; config vars readable"),
		check("raxx-api-staging", rotation.Unproven, "scope held; config vars readable"),
		check("audit", rotation.Ready, "audit row 7 written"),
	}
	s.Items[0].Facts = []rotation.Fact{{Name: "key_id", Label: "Current key", Value: "····OLD1"}}
	account := rotation.Account{
		ID: "11111111-2222-3333-4444-555555555555", Number: wholeNumber, Status: "ACTIVE",
		Cash: "100005.83", Equity: "100210.10", BuyingPower: "400023.32", Currency: "USD", CreatedAt: at("00:00:00").AddDate(-1, 0, 0),
	}
	o.Rotation.Snapshot = &rotation.Snapshot{At: at("03:05:02"), Account: account, Survey: rotation.Survey{
		Positions:  []rotation.Holding{{Symbol: "AAPL", Qty: "3"}, {Symbol: "MSFT", Qty: "1"}},
		OpenOrders: []rotation.Order{{ID: "o1", Symbol: "AAPL"}},
		MarketOpen: true,
	}}
	o.Rotation.OldPrint, o.Rotation.OldLast4 = "print-old", "OLD1"
	o.Rotation.OldBefore, o.Rotation.LastOK = rotation.Version{KeyID: 4, Secret: 4}, at("03:05:02")
	return o
}

// gateFailed is checked, with two failures, in a closed market.
func gateFailed() rotation.Overview {
	o := checked()
	o.Rotation.Snapshot.Survey.MarketOpen = false
	o.Rotation.Snapshot.Survey.NextOpen = at("14:30:00").AddDate(0, 0, 1)
	s := o.Rotation.Step(rotation.StepPrecheck)
	s.Items = append(
		s.Items,
		rotation.Item{Name: "integration-ci", Kind: "github_actions", State: rotation.Failed, Level: rotation.NotReady, Problem: rotation.Problem{
			Kind: "denied", Reason: "no_push", Text: "The token may not write secrets of raxx/raptor.", Fix: "Give it write access, then press Check again.",
		}},
		rotation.Item{Name: "local-dev", Kind: "developers", State: rotation.Failed, Level: rotation.NotReady, Problem: rotation.Problem{
			Text: "U0BOB cannot be written to.", Fix: "Take U0BOB out of bot.yml.",
		}},
	)
	return o
}

// forcedReset is a rotation whose old pair is dead before step 2.
func forcedReset() rotation.Overview {
	o := gateFailed()
	o.Rotation.FirstRejected = at("03:06:00")
	return o
}

// generating waits for the pair.
func generating() rotation.Overview {
	o := checked()
	leave(&o, rotation.StepPrecheck, "03:08:00")
	enter(&o, rotation.StepGenerate, "03:08:00").WaitsFor = "U0ADA"
	return o
}

// rejectedOnce waits for another pair: the old one is dead, the first paste was refused.
func rejectedOnce() rotation.Overview {
	o := generating()
	o.Rotation.FirstRejected = at("03:12:05")
	s := enter(&o, rotation.StepGenerate, "03:13:00")
	s.WaitsFor = "U0ADA"
	s.Note = "This pair belongs to account PA3OTHERNUM2, but " + wholeNumber + " was expected. Nothing was written."
	return o
}

// pasted has one sealed pair and validates it.
func pasted() rotation.Overview {
	o := generating()
	o.Rotation.LastOK, o.Rotation.FirstRejected, o.Rotation.SealedAt = at("03:12:00"), at("03:12:05"), at("03:12:30")
	account := o.Rotation.Snapshot.Account
	o.Rotation.Candidates = []rotation.Candidate{{N: 1, Print: "print-new", Last4: "NEW1", By: o.Rotation.Operator, At: at("03:12:30"), Verdict: rotation.Valid, Account: account}}
	o.Rotation.Chosen = 1
	leave(&o, rotation.StepGenerate, "03:12:30")
	s := enter(&o, rotation.StepValidate, "03:12:30")
	s.Facts = []rotation.Fact{
		{Name: "new_pair", Label: "New pair", Value: "works"},
		{Name: "account", Label: "Account", Value: rotation.Masked(wholeNumber)},
		{Name: "cash", Label: "Cash", Value: "100005.83"},
		{Name: "old_pair", Label: "Old pair", Value: "rejected (401)"},
	}
	return o
}

// stuckInValidate stopped because of the account.
func stuckInValidate() rotation.Overview {
	o := pasted()
	s := o.Rotation.Step(rotation.StepValidate)
	s.State, s.WaitsFor = rotation.Failed, "U0ADA"
	s.Problem = rotation.Problem{
		Reason: "account_blocked",
		Text:   "The new pair works, but account " + wholeNumber + " is ACTIVE with trading blocked.", Fix: "Ask Alpaca's support why the account is blocked, then press Retry.",
	}
	return o
}

// storing writes to the vault.
func storing() rotation.Overview {
	o := pasted()
	leave(&o, rotation.StepValidate, "03:12:31")
	enter(&o, rotation.StepStore, "03:12:31")
	return o
}

// propagating has consumers in every state, and steps 6 and 7 beside it.
func propagating() rotation.Overview {
	o := storing()
	leave(&o, rotation.StepStore, "03:12:32")
	s := enter(&o, rotation.StepPropagate, "03:12:32")
	s.Items = []rotation.Item{
		{Name: "raxx-api-prod", Kind: "heroku", State: rotation.Done, Detail: "applied", Counts: true, Facts: []rotation.Fact{{Name: "release", Label: "Release", Value: "v42"}}},
		{Name: "raxx-api-staging", Kind: "heroku", State: rotation.Running, Detail: "Heroku did not answer. The bot tries again by itself.", Tries: 3, Started: at("03:12:33"), Counts: true},
		{Name: "integration-ci", Kind: "github_actions", State: rotation.Failed, Counts: true, Problem: rotation.Problem{
			Kind: "denied", Reason: "no_push", Text: "GitHub refused to write the secret.", Fix: "Check the token's permissions, then press Retry.",
		}},
		{Name: "local-dev", Kind: "developers", State: rotation.Pending},
		{Name: "demo", Kind: "covered_by", State: rotation.Skipped, Detail: "covered by raxx-api-prod"},
	}
	v := enter(&o, rotation.StepVerify, "03:12:33")
	v.Items = []rotation.Item{{Name: "raxx-api-prod", Kind: "heroku", State: rotation.Running, Detail: "release v42 pending", Started: at("03:12:33"), Counts: true}}
	d := enter(&o, rotation.StepRevoked, "03:12:33")
	d.Items = []rotation.Item{{Name: "old", Kind: "old_pair", State: rotation.Done, Detail: "old pair rejected (401), new pair works"}}
	return o
}

// verifying has everything applied and the test order on the book.
func verifying() rotation.Overview {
	o := propagating()
	s := o.Rotation.Step(rotation.StepPropagate)
	for i := range s.Items {
		s.Items[i].Problem = rotation.Problem{}
		if s.Items[i].State != rotation.Skipped {
			s.Items[i].State = rotation.Done
		}
	}
	leave(&o, rotation.StepPropagate, "03:12:40")
	o.Rotation.TestOrder = true
	o.Rotation.Order = &rotation.TestOrder{ClientID: "keyturn-rabcdefghij", ID: "61e69015-8549-4bfd-b9c3-01e75843f47d", SentAt: at("03:12:38"), Status: "accepted"}
	v := o.Rotation.Step(rotation.StepVerify)
	v.Items = append(v.Items, rotation.Item{Name: "test_order", Kind: "test_order", State: rotation.Running, Detail: "on the paper book: accepted", Started: at("03:12:38")})
	leave(&o, rotation.StepRevoked, "03:12:36")
	return o
}

// proving waits for the old pair to die.
func proving() rotation.Overview {
	o := verifying()
	leave(&o, rotation.StepVerify, "03:12:46")
	o.Rotation.VerifiedAt = at("03:12:46")
	s := o.Rotation.Step(rotation.StepRevoked)
	s.State, s.Ended, s.WaitsFor = rotation.Running, time.Time{}, "U0ADA"
	s.Items = []rotation.Item{{Name: "old", Kind: "old_pair", State: rotation.Running, Detail: "old pair works, new pair works", Started: at("03:12:33"), Facts: []rotation.Fact{{Name: "old_status", Label: "Old pair", Value: "200"}}}}
	s.Problem = rotation.Problem{Reason: "old_pair_lingers", Text: "The old pair is not proven dead after 2 min: it still works.", Fix: "Check in the dashboard that you regenerated the keys of this account."}
	return o
}

// recording writes the record.
func recording() rotation.Overview {
	o := proving()
	o.Rotation.Step(rotation.StepRevoked).Problem = rotation.Problem{}
	leave(&o, rotation.StepRevoked, "03:12:50")
	enter(&o, rotation.StepRecord, "03:12:50")
	return o
}

// completed is over.
func completed() rotation.Overview {
	o := recording()
	leave(&o, rotation.StepRecord, "03:12:51")
	r := &o.Rotation
	r.Outcome, r.Closed = rotation.Completed, at("03:12:51")
	r.Order.Status, r.Order.Cleanup = "canceled", "cancelled, nothing filled"
	r.Summary = &rotation.Summary{
		ExposedMS: 41000, ExposedMaxMS: 46000, PasteToVerified: 16000, TookMS: 471000, NextDue: "2027-05-21", KeyAgeDays: 153,
		Lost: []string{"order o1 is gone"}, RotatedAt: at("03:12:30"),
	}
	r.Seq, r.Head = 31, strings.Repeat("0123456789abcdef", 4)
	r.Deviations = []rotation.Deviation{{At: at("03:08:00"), By: r.Operator, What: `went on although the check "local-dev" failed (U0BOB cannot be written to)`, Why: "bob is on leave"}}
	return o
}

// cancelled ended before the click.
func cancelled() rotation.Overview {
	o := checked()
	o.Rotation.Outcome, o.Rotation.Closed, o.Rotation.Reason = rotation.Cancelled, at("03:09:00"), "wrong key set"
	return o
}

// worst fills every place with as much as there can be, and everything fails.
func worst(current rotation.StepName) rotation.Overview {
	o := completed()
	r := &o.Rotation
	r.Outcome, r.Closed, r.Summary = rotation.Open, time.Time{}, nil
	long := strings.Repeat("<&>`*_~ü🔥", 334) // nine characters, five of them grow or are wide
	medium := long[:len(long)/10]
	r.KeySet = strings.Repeat("key-set-", 30)
	o.Past.KeySet, r.Reason, r.Operator.ID, r.Operator.Admin = r.KeySet, long, long, long
	o.Place, o.Names.KeyID, o.Names.Secret = long, long, long
	r.VerifiedAt, r.Order = time.Time{}, &rotation.TestOrder{ID: long, Status: long, FilledQty: long}
	for range 50 {
		r.Deviations = append(r.Deviations, rotation.Deviation{At: at("03:08:00"), By: rotation.Actor{ID: long}, What: long, Why: long})
	}
	*r.Snapshot = rotation.Snapshot{Account: rotation.Account{Number: long, Status: long, Cash: long, Equity: long, Currency: long}, Survey: r.Snapshot.Survey}
	o.Targets = nil
	before, full := true, 0
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Name == current {
			before = false
		}
		if before {
			continue
		}
		s.State, s.Ended, s.Note, s.WaitsFor = rotation.Failed, time.Time{}, long, long
		s.Problem = rotation.Problem{Text: long, Fix: long}
		s.Facts, s.Items = nil, nil
		if full++; full > 3 {
			continue // more than three steps never run side by side
		}
		for j := range 100 {
			fact := rotation.Fact{Name: "f", Label: medium, Value: medium}
			s.Facts = append(s.Facts, fact)
			for _, state := range []rotation.State{rotation.Failed, rotation.Running, rotation.Done} {
				s.Items = append(s.Items, rotation.Item{
					Name: fmt.Sprintf("%s-%d-%s", state, j, strings.Repeat("n", 40)), Kind: "heroku", State: state, Level: rotation.Unproven, Started: at("03:12:00"), Tries: 1000,
					Detail: long, Problem: s.Problem, Facts: []rotation.Fact{fact, fact, fact, fact, fact},
				})
			}
		}
	}
	return o
}

func note() rotation.Note {
	return rotation.Note{Kind: rotation.NoteUpdate, Rotation: "rabcdefghij", KeySet: "prod", Consumer: "local-dev", Data: map[string]string{
		rotation.NotePlace: "project 3f1c…, prod, /", rotation.NoteProject: "3f1c", rotation.NoteEnvironment: "prod", rotation.NotePath: "/",
		rotation.NoteKeyIDName: "ALPACA_PAPER_API_KEY_ID", rotation.NoteSecretName: "ALPACA_PAPER_API_SECRET_KEY", rotation.NoteLast4: "NEW1",
	}}
}
