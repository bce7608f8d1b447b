package page

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// askLimit is how long the bot may take to tell how it stands.
const askLimit = time.Second

// leapLimit is how far the clock can be moved at once.
const leapLimit = 366 * 24 * time.Hour

// A Fault is a switch for something that goes wrong. Set is never called twice
// with the same value.
type Fault struct {
	Name  string
	What  string // what happens, a sentence
	Group string
	Once  bool // it happens and is over; it never stays on
	Set   func(on bool) error
}

// botState is what the bot told last.
type botState struct {
	rotations []control.RotationView
	verdict   control.Verdict
	seq       uint64 // of the last audit row
}

type faultView struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Group string `json:"group"`
	On    bool   `json:"on"`
	Times string `json:"times"`
}

// rotationView is the event "rotation" without the time of sending.
type rotationView struct {
	BotRunning bool                   `json:"botRunning"`
	PID        int                    `json:"pid"`
	Rotations  []control.RotationView `json:"rotations"`
	Audit      struct {
		Intact  bool   `json:"intact"`
		Problem string `json:"problem"`
		Rows    uint64 `json:"rows"`
	} `json:"audit"`
	Faults []faultView `json:"faults"`
	Clock  struct {
		Ahead int64 `json:"ahead_s"`
	} `json:"clock"`
}

func (s *Server) rotation() rotationView {
	v := rotationView{PID: s.cfg.Bot.PID(), Faults: []faultView{}, Rotations: []control.RotationView{}}
	v.BotRunning = v.PID != 0
	v.Clock.Ahead = int64(s.cfg.Clock.Ahead() / time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Rotations = append(v.Rotations, s.bot.rotations...)
	v.Audit.Intact, v.Audit.Problem, v.Audit.Rows = s.bot.verdict.Intact, s.bot.verdict.Problem, s.bot.verdict.Rows
	for _, f := range s.cfg.Faults {
		o := faultView{Name: f.Name, What: f.What, Group: f.Group, On: s.on[f.Name], Times: "until switched off"}
		if f.Once {
			o.Times = "once"
		}
		v.Faults = append(v.Faults, o)
	}
	return v
}

// askLoop asks the bot how it stands until ctx ends.
func (s *Server) askLoop(ctx context.Context) {
	if s.cfg.Record == nil {
		return
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.cfg.Bot.PID() != 0 && (s.watched() || s.cfg.Drill != nil) {
				s.ask(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// ask keeps what the bot tells. What it does not tell stays as it was.
func (s *Server) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	list, err := s.cfg.Record.Rotations(ctx)
	if err != nil {
		return
	}
	slices.SortStableFunc(list, func(a, b control.RotationView) int { return b.Rotation.Opened.Compare(a.Rotation.Opened) })
	s.mu.Lock()
	s.bot.rotations = list
	after := s.bot.seq
	s.mu.Unlock()
	rows, err := s.cfg.Record.Audit(ctx, after)
	if err == nil && len(rows) > 0 {
		s.addRows(ctx, rows)
	}
	s.soon()
}

// addRows has the whole record checked anew and shows what was added.
func (s *Server) addRows(ctx context.Context, rows []control.AuditRow) {
	verdict, err := s.cfg.Record.Verify(ctx)
	if err != nil {
		return // the rows come again
	}
	var list []json.RawMessage
	seq := uint64(0)
	for _, raw := range rows {
		var row auditRow
		if json.Unmarshal(raw, &row) != nil {
			continue
		}
		seq = row.Seq
		row.At = row.Time
		if body, err := json.Marshal(row); err == nil {
			list = append(list, body)
		}
	}
	s.mu.Lock()
	s.bot.verdict = verdict
	s.bot.seq = max(seq, s.bot.seq)
	s.mu.Unlock()
	s.board.add(list)
}

// An auditRow is a row as an event carries it.
type auditRow struct {
	Seq      uint64            `json:"seq"`
	Time     string            `json:"time,omitempty"`
	At       string            `json:"at"`
	Actor    string            `json:"actor"`
	Action   string            `json:"action"`
	Step     rotation.StepName `json:"step"`
	KeySet   string            `json:"keyset"`
	Rotation rotation.ID       `json:"rotation"`
	Context  map[string]any    `json:"context"`
	Hash     string            `json:"hash"`
}

func (s *Server) botRoutes() {
	type nothing struct{}
	bot := s.cfg.Bot
	post(s, "/api/bot/kill", func(context.Context, nothing) (answer, error) {
		err := bot.Kill()
		s.note(Act{Kind: ActKill}, err)
		return nil, err
	})
	post(s, "/api/bot/stop", func(context.Context, nothing) (answer, error) {
		err := bot.Stop()
		s.note(Act{Kind: ActStop}, err)
		return nil, err
	})
	post(s, "/api/bot/start", func(ctx context.Context, _ nothing) (answer, error) {
		err := bot.Start(context.WithoutCancel(ctx))
		s.note(Act{Kind: ActStart}, err)
		return nil, err
	})
	post(s, "/api/clock", func(_ context.Context, in struct {
		Advance float64 `json:"advance_s"`
	},
	) (answer, error) {
		d := time.Duration(in.Advance * float64(time.Second))
		if d <= 0 || d > leapLimit {
			return nil, errors.New("the clock can be moved forward by up to 366 days")
		}
		return nil, s.cfg.Clock.Advance(d)
	})
	post(s, "/api/drill/finish", func(context.Context, nothing) (answer, error) {
		if s.cfg.Drill == nil {
			return nil, errors.New("there is no drill")
		}
		s.cfg.Drill.Finish()
		return nil, nil
	})
	s.mux.HandleFunc("POST /api/faults/{name}", s.setFault)
}

// setFault switches a fault.
func (s *Server) setFault(w http.ResponseWriter, r *http.Request) {
	var in struct{ On *bool }
	i := slices.IndexFunc(s.cfg.Faults, func(f Fault) bool { return f.Name == r.PathValue("name") })
	if err := decode(w, r, &in); err != nil || in.On == nil || i < 0 {
		refuse(w, http.StatusBadRequest, "There is no such fault, or it is not said whether it is on.")
		return
	}
	err := s.switchFault(s.cfg.Faults[i], *in.On)
	s.soon()
	writeJSON(w, http.StatusOK, answer{"ok": err == nil, "error": sentence(err)})
}

func (s *Server) switchFault(f Fault, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on[f.Name] == on {
		return nil
	}
	if err := f.Set(on); err != nil {
		return err
	}
	s.on[f.Name] = on && !f.Once
	return nil
}
