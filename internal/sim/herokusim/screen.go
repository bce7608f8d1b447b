package herokusim

// A Dyno is one dyno as the dashboard shows it.
type Dyno struct {
	Name  string // "web.1"
	State string // starting, up, crashed
}

// A Look is how an app stands.
type Look struct {
	Release Release // the newest
	Dynos   []Dyno
	Preboot bool
	Phase   bool // it has a release command
}

// Look returns how an app stands now; false means that there is none.
func (s *Sim) Look(name string) (l Look, ok bool) {
	s.with(name, func(a *app) {
		r := a.releases[len(a.releases)-1]
		l, ok = Look{Preboot: a.preboot, Phase: a.phase.On}, true
		l.Release = Release{Version: r.version, Description: r.description, Status: r.status, User: r.user.email}
		for _, d := range a.dynos {
			l.Dynos = append(l.Dynos, Dyno{Name: d.name, State: d.state})
		}
	})
	return l, ok
}
