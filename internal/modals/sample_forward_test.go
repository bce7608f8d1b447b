package modals

import (
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const otherNumber = "PA3OTHERNUM2" // of the other paper account

// withoutPair cannot read the current pair: a first use, or a broken one.
func withoutPair() rotation.Overview {
	o := checked()
	o.Rotation.Snapshot, o.Rotation.OldPrint, o.Rotation.OldLast4 = nil, "", ""
	s := o.Rotation.Step(rotation.StepPrecheck)
	for i, p := range map[int]rotation.Problem{
		0: {Kind: "not_found", Reason: "no_current_pair", Text: "Infisical does not hold both names.", Fix: "Put the pair that works now into Infisical, then press Check again."},
		1: {Reason: "no_snapshot", Text: "The account cannot be read without a working pair.", Fix: "See the check of the current pair."},
	} {
		s.Items[i].State, s.Items[i].Level, s.Items[i].Detail, s.Items[i].Problem, s.Items[i].Facts = rotation.Failed, rotation.NotReady, "", p, nil
	}
	return o
}

// othersKeys is back at step 2 because the pair is another key set's.
func othersKeys() rotation.Overview {
	o := rejectedOnce()
	o.Rotation.FirstRejected = time.Time{} // the old pair works
	account := rotation.Account{ID: "other", Number: otherNumber, Status: "ACTIVE"}
	o.Rotation.Candidates = []rotation.Candidate{{N: 1, Last4: "OTH1", By: o.Rotation.Operator, At: at("03:12:30"), Verdict: rotation.Valid, Account: account, Aside: "wrong_account"}}
	o.Rotation.Step(rotation.StepValidate).Problem = rotation.Problem{Reason: "wrong_account"}
	o.Other = &rotation.OtherOwner{KeySet: "staging", Last4: "NUM2", DeadSince: at("03:12:30")}
	return o
}

// superseded is back at step 2 because somebody generated again.
func superseded() rotation.Overview {
	o := pasted()
	o.Rotation.Candidates[0].Aside, o.Rotation.Chosen = "superseded", 0
	v := o.Rotation.Step(rotation.StepValidate)
	v.State, v.Facts = rotation.Pending, nil
	s := enter(&o, rotation.StepGenerate, "03:14:00")
	s.WaitsFor, o.Rotation.Visitor = "U0ADA", rotation.Actor{ID: "U0BOB", Admin: "bob@raxx.app"}
	s.Note = "The new pair ····NEW1 is dead already: somebody generated keys again. Nothing more is written with it. The last one at step 2 was bob@raxx.app. " +
		"Find out who generated. Paste the pair that was made last; if it is lost, generate once more and paste that one."
	return o
}

// blocked waits for an account that cannot trade; the old pair is dead.
func blocked() rotation.Overview {
	o := stuckInValidate()
	s := o.Rotation.Step(rotation.StepValidate)
	s.State, s.WaitsFor, s.Note = rotation.Running, rotation.BotActor, "The bot looks again by itself, since 03:12 UTC."
	s.Problem.Fix = "The bot keeps looking. Ask Alpaca's support why the account is blocked."
	return o
}

// replaced has a pair of an account that was made after the start.
func replaced() rotation.Overview {
	o := stuckInValidate()
	o.Rotation.Candidates[0].Account = rotation.Account{ID: "new", Number: otherNumber, Status: "ACTIVE", CreatedAt: at("03:11:00")}
	o.Rotation.Step(rotation.StepValidate).Problem = rotation.Problem{
		Reason: "account_replaced",
		Text:   "This pair belongs to account " + otherNumber + ", but " + wholeNumber + " was expected. Nothing was written. It was created after this rotation began and the old pair is dead: the account was reset or replaced.",
		Fix:    "If that is right, adopt the new account. If not, find out who deleted the old one.",
	}
	return o
}

// foreign has a pair of an older account that is another key set's.
func foreign() rotation.Overview {
	o := replaced()
	o.Rotation.Step(rotation.StepValidate).Problem.Reason = "other_account"
	o.Other = &rotation.OtherOwner{KeySet: "staging", Last4: "NUM2", DeadSince: at("03:12:30")}
	return o
}

// storeStuck has tried to store for more than two minutes.
func storeStuck() rotation.Overview {
	o := storing()
	s := o.Rotation.Step(rotation.StepStore)
	s.Note = "The bot tries again by itself."
	s.Problem = rotation.Problem{Kind: "transient", Reason: "http_503", Text: "Infisical does not answer properly (503).", Fix: "Nothing to do yet: the bot tries again."}
	return o
}

// storeLater hands the pair out while storing goes on failing.
func storeLater() rotation.Overview {
	o := storeStuck()
	o.Rotation.StoreLater = true
	o.Rotation.Deviations = []rotation.Deviation{{At: at("03:15:00"), By: o.Rotation.Operator, What: "propagated before it was stored", Why: "Infisical is down"}}
	s := enter(&o, rotation.StepPropagate, "03:15:01")
	s.Items = []rotation.Item{{Name: "raxx-api-prod", Kind: "heroku", State: rotation.Done, Detail: "applied", Counts: true}}
	return o
}

// notStored gave up storing.
func notStored() rotation.Overview {
	o := storing()
	s := o.Rotation.Step(rotation.StepStore)
	s.State, s.WaitsFor = rotation.Failed, "U0ADA"
	s.Problem = rotation.Problem{Kind: "denied", Reason: "forbidden", Text: "Infisical refuses the write.", Fix: "Give the machine identity write access, then press Retry."}
	return o
}

// orderLost does not know what became of the test order.
func orderLost() rotation.Overview {
	o := verifying()
	s := o.Rotation.Step(rotation.StepVerify)
	for i := range s.Items {
		s.Items[i].State = rotation.Done
	}
	o.Rotation.VerifiedAt = at("03:12:46")
	it := s.Item("test_order")
	it.State, it.Detail = rotation.Failed, ""
	it.Problem = rotation.Problem{
		Kind: "unknown", Reason: "order_unknown", Text: "The answer to the test order was lost and no such order is on the paper book, so it is not known whether it was placed.",
		Fix: "Check the paper and the LIVE dashboard. The order is not sent again.",
	}
	return o
}

// accepted let a failed consumer count as done.
func accepted() rotation.Overview {
	o := propagating()
	it := o.Rotation.Step(rotation.StepPropagate).Item("integration-ci")
	it.State, it.PassBy, it.PassWhy, it.Detail = rotation.Skipped, "ada@raxx.app", "CI is frozen", "accepted by ada@raxx.app: CI is frozen"
	o.Rotation.Deviations = []rotation.Deviation{{At: at("12:03:00"), By: o.Rotation.Operator, What: "integration-ci was accepted without proof", Why: "CI is frozen"}}
	o.Rotation.Presses = []rotation.Press{{What: rotation.PressAccept, Step: rotation.StepPropagate, Round: 1, Item: "integration-ci", By: o.Rotation.Operator, At: at("12:03:00")}}
	return o
}

// lingering is step 7 after its alarm: the bot goes on asking.
func lingering() rotation.Overview {
	o := proving()
	s := o.Rotation.Step(rotation.StepRevoked)
	s.WaitsFor = rotation.BotActor
	s.Problem.Kind, s.Items[0].Problem = "unknown", s.Problem
	return o
}

// troubles are the states in which something went wrong, by name.
func troubles() map[string]rotation.Overview {
	return map[string]rotation.Overview{
		"gate_failed": gateFailed(), "without_pair": withoutPair(), "forced": forcedReset(), "rejected": rejectedOnce(), "others_keys": othersKeys(), "superseded": superseded(),
		"validate_failed": stuckInValidate(), "blocked": blocked(), "replaced": replaced(), "foreign": foreign(), "store_stuck": storeStuck(), "store_later": storeLater(),
		"not_stored": notStored(), "propagate": propagating(), "order_lost": orderLost(), "lingering": lingering(),
	}
}

// binding returns what the button of an act is bound to in o.
func binding(o rotation.Overview, step rotation.StepName, item string) Bind {
	return bindTo(o, o.Rotation.Step(step), item)
}

// asked returns the view that asks why, which must be there.
func asked(o rotation.Overview, action string, step rotation.StepName, item string) slack.ModalViewRequest {
	v, ok := AskWhy(o, action, binding(o, step, item))
	if !ok {
		panic("the act " + action + " is not offered")
	}
	return v
}
