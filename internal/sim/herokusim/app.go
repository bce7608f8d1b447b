package herokusim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Release states (enum of release.status in platform-api.draft04.schema.json).
const (
	pending   = "pending"
	succeeded = "succeeded"
	failed    = "failed"
)

// An app is one app with its history. The simulator's lock guards it.
type app struct {
	id, name string
	created  time.Time
	phase    Phase
	boot     Boot
	preboot  bool
	skipNoop bool

	processes []*process
	releases  []*release // oldest first
	live      *release   // newest that succeeded
	dynos     []*dyno

	serving  map[string]string // what requests are answered with; nil: nothing serves
	booting  *release          // whose dynos are starting
	bootHeld bool
	crashes  bool
	upAt     time.Time // when booting ends, if not held
	switchAt time.Time // when preboot's old dynos stop serving
	switchTo *release
}

type process struct {
	Process
	id      string
	updated time.Time
}

type user struct{ email, id string }

type release struct {
	id          string
	version     int
	description string
	user        user
	status      string
	created     time.Time
	updated     time.Time
	vars        map[string]string // never changed
	held        bool
	fails       bool
	doneAt      time.Time
	output      bool // it ran a release command
}

type dyno struct {
	id, name, kind, command, size, state string

	release          *release
	created, updated time.Time
}

// oneOff reports whether the dyno is no part of the formation.
func (d *dyno) oneOff() bool {
	return d.kind == "run" || d.kind == "release" || d.kind == "scheduler"
}

func newApp(spec App, now time.Time) *app {
	a := &app{id: newID(), name: spec.Name, created: now, preboot: spec.Preboot, skipNoop: spec.SkipsNoop}
	if spec.Processes == nil {
		spec.Processes = []Process{{Type: "web", Quantity: 1}}
	}
	for _, p := range spec.Processes {
		if p.Size == "" {
			p.Size = "Basic"
		}
		if p.Command == "" {
			p.Command = "bin/" + p.Type
		}
		a.processes = append(a.processes, &process{Process: p, id: newID(), updated: now})
	}
	vars := maps.Clone(spec.Vars)
	if vars == nil {
		vars = map[string]string{}
	}
	r := a.release("Initial release", vars, user{email: "owner@example.com", id: newID()}, now)
	r.version = max(spec.Version, 1)
	a.settle(now)
	a.switchAt = time.Time{}
	if len(a.dynos) > 0 {
		a.serving = vars
	}
	a.phase, a.boot = spec.Phase, spec.Boot
	return a
}

// base returns the vars that the next change is merged into.
func (a *app) base() map[string]string {
	for _, r := range slices.Backward(a.releases) {
		if r.status != failed || a.phase.Shows == ShowsNewest {
			return r.vars
		}
	}
	return map[string]string{}
}

// visible returns the vars as the API shows them.
func (a *app) visible() map[string]string {
	newest := a.releases[len(a.releases)-1]
	switch a.phase.Shows {
	case ShowsPending:
		if newest.status == pending {
			return newest.vars
		}
	case ShowsNewest:
		return newest.vars
	case ShowsOld:
	}
	return a.live.vars
}

// change merges vars, nil deletes, and makes one release of it; nil if nothing
// changes and the app makes none then.
func (a *app) change(vars map[string]*string, by user, now time.Time) *release {
	next := maps.Clone(a.base())
	verb := "Unset "
	for k, v := range vars {
		if v == nil {
			delete(next, k)
			continue
		}
		next[k], verb = *v, "Set "
	}
	if a.skipNoop && maps.Equal(next, a.base()) {
		return nil
	}
	names := slices.Sorted(maps.Keys(vars))
	return a.release(verb+strings.Join(names, ", ")+" config vars", next, by, now)
}

// release appends a release; settle makes it live.
func (a *app) release(description string, vars map[string]string, by user, now time.Time) *release {
	r := &release{
		id: newID(), version: 1, description: description, user: by, status: pending, created: now, updated: now, vars: vars,
		held: a.phase.On && a.phase.Hold, fails: a.phase.On && a.phase.Fails, doneAt: now, output: a.phase.On,
	}
	if a.phase.On {
		r.doneAt = now.Add(a.phase.Takes)
	}
	if n := len(a.releases); n > 0 {
		r.version = a.releases[n-1].version + 1
	}
	a.releases = append(a.releases, r)
	return r
}

// settle does what should have happened by now. Doing it again changes nothing.
func (a *app) settle(now time.Time) {
	for _, r := range a.releases {
		if r.status != pending {
			continue
		}
		if r.held || now.Before(r.doneAt) {
			break // releases of an app go one after the other
		}
		r.updated = r.doneAt
		if r.fails {
			r.status = failed
			continue
		}
		r.status, a.live = succeeded, r
		a.finishBoot(r.doneAt)
		a.restart(r, r.doneAt)
	}
	a.finishBoot(now)
	if !a.switchAt.IsZero() && !now.Before(a.switchAt) {
		a.switchAt = time.Time{}
		a.serving = a.switchTo.vars
	}
}

// restart replaces the dynos of the formation by starting ones of r.
func (a *app) restart(r *release, now time.Time) {
	a.dynos = slices.DeleteFunc(a.dynos, func(d *dyno) bool { return !d.oneOff() })
	for _, p := range a.processes {
		for i := range p.Quantity {
			a.addDyno(p.Type, i+1, p.Command, p.Size, r, "starting", now)
		}
	}
	a.booting, a.bootHeld, a.crashes, a.upAt = r, a.boot.Hold, a.boot.Crashes, now.Add(a.boot.Takes)
	if !slices.ContainsFunc(a.dynos, func(d *dyno) bool { return !d.oneOff() }) {
		a.booting, a.serving = nil, nil
	}
}

// finishBoot brings starting dynos up if their time has come.
func (a *app) finishBoot(now time.Time) {
	if a.booting == nil || a.bootHeld || now.Before(a.upAt) {
		return
	}
	state := "up"
	if a.crashes {
		state = "crashed"
	}
	for _, d := range a.dynos {
		if d.release == a.booting && d.state == "starting" {
			d.state, d.updated = state, a.upAt
		}
	}
	r := a.booting
	a.booting = nil
	switch {
	case a.crashes && a.preboot: // the old dynos go on
	case a.crashes:
		a.serving = nil
	case a.preboot:
		window := a.boot.PrebootWindow
		if window == 0 {
			window = prebootWindow
		}
		a.switchAt, a.switchTo = a.upAt.Add(window), r
	default:
		a.serving = r.vars
	}
}

func (a *app) addDyno(kind string, n int, command, size string, r *release, state string, now time.Time) {
	a.dynos = append(a.dynos, &dyno{
		id: newID(), name: fmt.Sprintf("%s.%d", kind, n), kind: kind, command: command, size: size,
		state: state, release: r, created: now, updated: now,
	})
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
