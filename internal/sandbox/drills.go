package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// sealButton submits the new pair.
const sealButton = "Seal"

// backAfter is when a service that was down is back at the latest, in a drill.
const backAfter = 90 * time.Second

const everything = "Every place works with a new pair, the old pair is dead, the rotation is completed, and @ada has pressed Updated."

// scenarios returns every drill.
func scenarios() []scenario {
	return []scenario{
		{
			Name: "scheduled-day", Title: "A scheduled rotation on a quiet day",
			Story: "The key of prod is due. Nothing is wrong. You are @ada, in ops.",
			Goal:  everything,
		},
		fridayDrill(),
		byHandDrill(),
		wrongAccountDrill(),
		infisicalDrill(),
		killedDrill(),
		{
			Name: "lingering-old-key", Title: "The old key does not die",
			Story:   "The key of prod may have leaked: it must be dead. Alpaca is slow tonight. You are @ada, in ops.",
			Goal:    "Do not rest before the old pair is rejected. " + everything,
			Limits:  func(l *rotation.Limits) { l.OldPair = 5 * time.Second },
			Prepare: func(w *World) error { w.Alpaca.SetRevocationLag(40 * time.Second); return nil },
		},
		secondPasteDrill(),
	}
}

// scenarioByName returns a drill.
func scenarioByName(name string) (*scenario, bool) {
	all := scenarios()
	if i := slices.IndexFunc(all, func(s scenario) bool { return s.Name == name }); i >= 0 {
		return &all[i], true
	}
	return nil, false
}

// untilFriday is how far the next Friday, 23:40 UTC, is away.
func untilFriday(now time.Time) time.Duration {
	now = now.UTC()
	days := (int(time.Friday) - int(now.Weekday()) + 7) % 7
	at := time.Date(now.Year(), now.Month(), now.Day()+days, 23, 40, 0, 0, time.UTC)
	if !at.After(now) {
		at = at.AddDate(0, 0, 7)
	}
	return at.Sub(now)
}

// wrongAccountDrill begins after a colleague's slip.
func wrongAccountDrill() scenario {
	return scenario{
		Name: "wrong-account", Title: "A colleague generated the keys in the wrong account",
		Story: "@cleo began to rotate the key of prod, chose the other paper account in the dashboard, pasted its pair, and went to lunch. " +
			"You are @ada, in ops. The rotation is in #ops.",
		Goal: "Find out what the bot waits for and finish the rotation. " + everything,
		Stage: func(d *drillRun) error {
			ctx, cancel := context.WithTimeout(d.ctx, readyLimit)
			defer cancel()
			colleague := d.colleagueOf(cleo)
			if err := colleague.begin(ctx); err != nil {
				return err
			}
			if err := colleague.goOn(ctx); err != nil {
				return err
			}
			if _, err := colleague.account(ctx); err != nil {
				return err
			}
			for _, a := range d.st.Alpaca.Accounts() {
				if a.Number == d.st.Account {
					continue
				}
				key, err := colleague.generate(a.Number)
				if err != nil {
					return err
				}
				d.pasted(key)
				if err := colleague.seal(ctx, key); err != nil {
					return err
				}
				if err := colleague.see(ctx, "Why you are here again"); err != nil {
					return err
				}
				return d.st.Slack.CloseModal(ctx, cleo, true)
			}
			return errors.New("there is no other account")
		},
	}
}

// colleagueOf returns a scripted person of whom nobody is told.
func (d *drillRun) colleagueOf(user string) *Operator {
	return &Operator{Slack: d.st.Slack, Dashboard: d.st.Alpaca, User: user, Name: d.st.name(user), Say: func(string) {}}
}

// pasted notes a pair that the scenario brought in.
func (d *drillRun) pasted(key alpacasim.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.colleagues = append(d.colleagues, last4(key.ID))
}

// infisicalDrill takes Infisical away when there is no way back.
func infisicalDrill() scenario {
	return scenario{
		Name: "infisical-down-after-click", Title: "Infisical goes down after the click",
		Story: "The key of prod is due. You are @ada, in ops. Infisical had trouble this morning.",
		Goal:  "Trading must not wait for Infisical. " + everything,
		React: func(d *drillRun, a page.Act) {
			if a.Kind != page.ActRegenerate || a.Err != nil {
				return
			}
			d.once.Do(func() {
				back := d.st.Infisical.Break("", "/api/", 0)
				defer back()
				d.waitFor(backAfter, d.storing)
				if d.st.bot.Advance(rotation.StoreLaterAfter) != nil {
					return
				}
				d.waitFor(backAfter, d.st.handed)
			})
		},
	}
}

// killedDrill kills the bot between the paste and the store.
func killedDrill() scenario {
	return scenario{
		Name: "bot-killed-after-paste", Title: "The bot dies right after the paste",
		Story: "The key of prod is due. You are @ada, in ops. The host of the bot had trouble with its memory this week; " +
			"you can see whether the bot runs, and start it again.",
		Goal: "Get through it with one pair: what was sealed is not lost. " + everything,
		React: func(d *drillRun, a page.Act) {
			switch {
			case a.Err != nil || a.Shown != "":
			case a.Kind == page.ActRegenerate:
				d.once.Do(func() {
					back := d.st.Infisical.Break(http.MethodPatch, vaultBatch, 0) // the bot cannot get past step 4
					defer back()
					pid := d.st.bot.PID()
					d.waitFor(time.Hour, func() bool { return d.st.bot.PID() != pid })
				})
			case a.Kind == page.ActSubmit && a.Text == sealButton:
				_ = d.st.bot.Kill() // it may be dead already
			}
		},
	}
}

// secondPasteDrill has a colleague generate after the person did.
func secondPasteDrill() scenario {
	return scenario{
		Name: "second-paste", Title: "Somebody else generates keys at the same time",
		Story: "The key of prod is due. You are @ada, in ops. @cleo wants to help, and does not ask.",
		Goal:  "Keep calm: do not generate a third pair. " + everything,
		React: func(d *drillRun, a page.Act) {
			if a.Kind != page.ActRegenerate || a.Err != nil || a.Account != d.st.Account {
				return
			}
			d.once.Do(func() {
				ctx, cancel := context.WithTimeout(d.ctx, backAfter)
				defer cancel()
				if err := d.help(ctx, a.Account); err != nil {
					d.mu.Lock()
					defer d.mu.Unlock()
					d.problem = err.Error()
				}
			})
		},
	}
}

// help is what the colleague does who does not ask.
func (d *drillRun) help(ctx context.Context, account string) error {
	colleague := d.colleagueOf(cleo)
	if err := colleague.open(ctx); err != nil {
		return fmt.Errorf("the colleague: %w", err)
	}
	if _, err := colleague.account(ctx); err != nil {
		return fmt.Errorf("the colleague: %w", err)
	}
	key, err := colleague.generate(account)
	if err != nil {
		return fmt.Errorf("the colleague: %w", err)
	}
	d.pasted(key)
	return colleague.seal(ctx, key)
}

// storing reports whether step 4 has met its problem.
func (d *drillRun) storing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.rotation.Steps) > 0 && d.rotation.Step(rotation.StepStore).Problem.Text != ""
}

// waitFor waits until ok, for limit at most, or until the drill is over.
func (d *drillRun) waitFor(limit time.Duration, ok func() bool) {
	enough, tick := time.NewTimer(limit), time.NewTicker(sampleEvery)
	defer enough.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-enough.C:
			return
		case <-d.ctx.Done():
			return
		}
	}
}
