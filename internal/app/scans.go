package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/jobs"
)

// lateLimit is by how much a probe of the sentinel may be late before the bot is
// not ready: a vendor that is slow for a minute makes nobody page.
const lateLimit = 5 * time.Minute

// A scanner is a job that scans on a clock.
type scanner interface {
	Pulses() []jobs.Pulse
}

var (
	_ scanner = (*jobs.Outbox)(nil)
	_ scanner = (*jobs.Ladder)(nil)
	_ scanner = (*jobs.Sentinel)(nil)
	_ scanner = (*jobs.Reminders)(nil)
	_ scanner = (*jobs.Readiness)(nil)
	_ scanner = (*jobs.RollCall)(nil)
	_ scanner = (*jobs.Leavers)(nil)
)

// pulses says of every scan when it last got on.
func (p *parts) pulses() []jobs.Pulse {
	var all []jobs.Pulse
	for _, s := range []scanner{p.outbox, p.ladder, p.clock.sentinel, p.clock.reminders, p.clock.readiness, p.clock.rollCall, p.clock.leavers} {
		all = append(all, s.Pulses()...)
	}
	return all
}

// late says what should have run by now and has not, or is "".
func (p *parts) late(context.Context) string {
	var names, said []string
	for _, s := range p.pulses() {
		if s.Late > 0 {
			names = append(names, s.Name)
		}
	}
	if len(names) > 0 {
		said = append(said, "late scans: "+strings.Join(names, ", "))
	}
	if by := p.clock.sentinel.Late(); by > lateLimit {
		said = append(said, fmt.Sprintf("a probe of a stored pair is late by %s", by.Round(time.Second)))
	}
	return strings.Join(said, "; ")
}

// healthOf is what only the running bot can say of how it is.
func healthOf(p *parts) func(context.Context) control.Health {
	return func(ctx context.Context) control.Health {
		late := p.clock.sentinel.Late()
		parts := []control.Part{
			{Name: "slack", OK: p.slack.Connected(), Detail: map[bool]string{true: "a socket is up", false: "no socket is up"}[p.slack.Connected()], Fix: "Look at the bot's log: it says what Slack answered."},
			{Name: "sentinel", OK: late <= lateLimit, Detail: "the most overdue probe is late by " + late.Round(time.Second).String(), Fix: "Look whether Alpaca and Infisical answer."},
		}
		waiting, oldest, err := p.outbox.Waiting(ctx)
		detail := fmt.Sprintf("%d posts wait, the oldest change for %s", waiting, oldest.Round(time.Second))
		if err != nil {
			detail = "the outbox cannot be read"
		}
		parts = append(parts, control.Part{Name: "outbox", OK: err == nil && oldest < lateLimit, Detail: detail, Fix: "Look whether Slack answers."})
		err = p.health.ready(ctx)
		parts = slices.Concat(parts, scanParts(p.pulses()), []control.Part{{Name: "ready", OK: err == nil, Detail: cmp.Or(errText(err), "ready")}})
		return control.Health{Ready: err == nil, Parts: parts}
	}
}

// scanParts says of each scan whether it gets on.
func scanParts(pulses []jobs.Pulse) []control.Part {
	list := make([]control.Part, len(pulses))
	for i, s := range pulses {
		list[i] = control.Part{Name: s.Name, OK: s.Late == 0, Last: s.Last, EveryMS: s.Every.Milliseconds()}
		if s.Late > 0 {
			list[i].Detail = "its scan is late by " + s.Late.Round(time.Second).String()
			list[i].Fix = "Restart the bot: it loses nothing. If it stays, look at the bot's log and at the services that it calls."
		}
	}
	return list
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
