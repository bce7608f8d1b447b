package rotation

import (
	"fmt"
	"strconv"
	"time"
)

// pairReadiness says what a probe of the current pair means (R20, R21).
func pairReadiness(p Probe, s Stored) Readiness {
	facts := []Fact{
		{Name: "key_id", Label: "Current key", Value: "····" + s.Pair.Last4()},
		{Name: "versions", Label: "Infisical versions", Value: strconv.Itoa(s.Version.KeyID) + " / " + strconv.Itoa(s.Version.Secret)},
	}
	switch {
	case p.Verdict == Valid && p.Account.Active():
		return Readiness{Level: Ready, Detail: "works: account " + Masked(p.Account.Number) + " is ACTIVE", Facts: facts}
	case p.Verdict == Valid:
		return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
			Reason: ReasonBlocked, Text: "The current pair works, but the account is " + p.Account.Condition() + ". That is a problem of the account, not of the key.",
			Fix: "Ask Alpaca's support before you rotate. A rotation does not lift a block.",
		}}
	case p.Verdict == Invalid:
		return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
			Reason: "old_rejected", Text: "Alpaca rejects the current pair: trading is down already.",
			Fix: "Choose the reason \"Account was reset or key is dead\" and go on at once. Nothing blocks you.",
		}}
	}
	return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
		Reason: "old_unknown", Text: "Alpaca does not answer properly (" + p.said() + "), so it is not known whether the current pair works.",
		Fix: "Wait until Alpaca answers and press Check again.",
	}}
}

// snapshotReadiness says in one line what was seen.
func snapshotReadiness(s *Snapshot) Readiness {
	market := "market closed"
	if s.Survey.MarketOpen {
		market = "market open"
	}
	return Readiness{Level: Ready, Detail: fmt.Sprintf("%s, %s, %s", count(len(s.Survey.Positions), "position"), count(len(s.Survey.OpenOrders), "open order"), market), Facts: []Fact{
		{Name: "account", Label: "Account", Value: Masked(s.Account.Number)},
		{Name: "status", Label: "Status", Value: s.Account.Status},
		{Name: "equity", Label: "Equity", Value: s.Account.Equity},
		{Name: "positions", Label: "Positions", Value: strconv.Itoa(len(s.Survey.Positions))},
		{Name: "open_orders", Label: "Open orders", Value: strconv.Itoa(len(s.Survey.OpenOrders))},
		{Name: "market", Label: "Market", Value: market},
	}}
}

// keptReadiness says that the last good snapshot stands in for one that cannot
// be taken now, and how old it is.
func keptReadiness(s *Snapshot, now time.Time) Readiness {
	r := snapshotReadiness(s)
	if s.NoSurvey {
		r.Detail, r.Facts = "positions and open orders are not known", r.Facts[:3]
	}
	r.Level = Unproven
	r.Detail = fmt.Sprintf("last good one, %s old: %s", age(now.Sub(s.At)), r.Detail)
	r.Facts = append(r.Facts, Fact{Name: "taken", Label: "Taken", Value: s.At.UTC().Format("2006-01-02 15:04 UTC")})
	return r
}

// age is a duration as people say it, in whole units: "40 s", "3 min", "5 h",
// "2 days".
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return count(int(d.Hours()/24), "day")
}
