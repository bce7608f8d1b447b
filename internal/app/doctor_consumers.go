package app

import (
	"context"
	"strings"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// consumer tries what a delivery will need, as step 1 does.
func (e *examination) consumer(set rotation.KeySet, t rotation.Target) check {
	return func(ctx context.Context) []Finding {
		if t.CoveredBy != "" {
			return []Finding{fine(set.Name, t.Name, "covered by "+t.CoveredBy)}
		}
		r := t.Consumer.Ready(ctx)
		f := ready(set.Name, t.Name, r)
		if f.Level != LevelOK {
			return []Finding{f}
		}
		var more []Finding
		switch t.Kind {
		case config.KindHeroku:
			more = herokuWarnings(set.Name, t.Name, r.Facts)
		case config.KindGitHubActions:
			more = e.githubWarnings(set.Name, t.Name, r.Facts)
		}
		if len(more) > 0 {
			return more
		}
		return []Finding{f}
	}
}

// herokuWarnings are what makes a rotation slower or later than it looks.
func herokuWarnings(area, name string, facts []rotation.Fact) (found []Finding) {
	if strings.HasSuffix(factOf(facts, "newest_release"), " failed") {
		found = append(found, warned(area, name, "release_failed", "The newest release failed: if its release command still fails, a new pair cannot go live.",
			"Read its output (heroku releases:output -a APP) and mend the release command before the next rotation."))
	}
	if factOf(facts, "release_phase") != "" {
		found = append(found, warned(area, name, "release_phase", "The app has a release command: a new pair goes live only when that succeeds, and the outage is longer by as much.",
			"Keep the release command short, and make it succeed without the Alpaca keys."))
	}
	if factOf(facts, "preboot") != "" {
		found = append(found, warned(area, name, "preboot", "Preboot is on: for about three minutes after a rotation old dynos may still answer with the old pair.",
			"Nothing has to be done; heroku features:disable preboot -a APP makes the outage shorter."))
	}
	return found
}

// githubWarnings are what the secrets do not reach, and the token's end.
func (e *examination) githubWarnings(area, name string, facts []rotation.Fact) (found []Finding) {
	if where := factOf(facts, "not_updated"); where != "" {
		found = append(found, warned(area, name, "shadowed", "Other copies of the same names would keep the old pair: "+where+".",
			"Add them in bot.yml (environment: NAME as a consumer of its own, or dependabot: true), or delete them in GitHub."))
	}
	if where := factOf(facts, "not_looked_at"); where != "" {
		found = append(found, warned(area, name, "not_looked_at", "The token may not see whether there are copies in: "+where+".",
			"To have that looked at, give the token read access to Actions, Environments and Dependabot secrets."))
	}
	if day := factOf(facts, "token_expires"); day != "" && e.soon(day) {
		found = append(found, warned(area, name, "token_expires", "The GitHub token expires on "+day+"; after that no rotation reaches GitHub.",
			"Make a new token with the same permissions now, and set GITHUB_TOKEN to it."))
	}
	return found
}

// downstream looks at the consumer's own view of its account.
func (e *examination) downstream(set rotation.KeySet, t rotation.Target) check {
	return func(ctx context.Context) []Finding {
		if t.Downstream == nil {
			return nil
		}
		name := t.Name + " verify"
		proof, err := t.Downstream.Check(ctx)
		switch {
		case err != nil:
			return []Finding{bad(set.Name, name, err)}
		case !proof.Done:
			return []Finding{broken(set.Name, name, "not_wanted", "The consumer's own account check says: "+proof.Detail+".",
				"Look why "+t.Name+" cannot trade now: step 6 of a rotation waits for this answer.")}
		}
		return []Finding{fine(set.Name, name, proof.Detail)}
	}
}

// testOrder checks what can be checked without placing anything.
func (e *examination) testOrder(set rotation.KeySet) check {
	return func(ctx context.Context) []Finding {
		if set.Trader == nil {
			return nil
		}
		return []Finding{ready(set.Name, "test order", set.Trader.Ready(ctx))}
	}
}

// coverage warns of the modes that the SOP names as affected and gives no way to
// reach (G1).
func (e *examination) coverage(set rotation.KeySet) check {
	return func(context.Context) (found []Finding) {
		for _, mode := range []string{"backtest", "demo"} {
			there := false
			for _, t := range set.Targets {
				there = there || strings.Contains(t.Name, mode)
			}
			if !there {
				found = append(found, warned(set.Name, mode, "no_consumer", "No consumer of "+set.Name+" is called "+mode+", although the SOP says that a rotation affects it.",
					"Add one in bot.yml: kind covered_by with the app that serves it, or webhook."))
			}
		}
		return found
	}
}
