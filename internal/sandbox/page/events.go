package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// notesAtOnce is how many messages go into one event: a long channel is drawn
// piece by piece.
const notesAtOnce = 200

// writeLimit is how long a browser may take to read.
const writeLimit = 10 * time.Second

// parts are those of the board that a browser gets as they are, in order.
func parts() []string { return []string{"outside", "rotation", "drill"} }

// A stream tells one browser, as one person, what changes.
type stream struct {
	s   *Server
	as  string
	w   http.ResponseWriter
	out *http.ResponseController
	buf bytes.Buffer

	slack []byte
	rooms []slacksim.Room
	notes []int
	begun bool           // messages were reset
	sent  map[string]int // parts of the board, by number
	rows  int            // audit rows
	audit bool           // they were reset
}

// events serves the stream until the browser or the page goes away.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	as := r.FormValue("as")
	if !slices.ContainsFunc(s.cfg.People, func(p Person) bool { return p.ID == as && !p.Bot }) {
		refuse(w, http.StatusBadRequest, "There is no such person.")
		return
	}
	s.mu.Lock()
	s.viewN++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.viewN--
		s.mu.Unlock()
	}()
	s.look()
	w.Header().Set("Content-Type", "text/event-stream")
	st := &stream{s: s, as: as, w: w, out: http.NewResponseController(w), sent: map[string]int{}}
	st.hello()
	st.follow(r.Context())
}

// follow sends what changed, at once after a calm and not too often in a storm.
func (st *stream) follow(ctx context.Context) {
	beat, pause := time.NewTicker(aliveBeat), time.NewTicker(sendEvery)
	defer beat.Stop()
	defer pause.Stop()
	for {
		slack, board := st.s.cfg.Slack.Changed(), st.s.board.next()
		st.sendSlack()
		st.sendMessages()
		st.sendParts()
		st.sendRows()
		if st.flush() != nil {
			return
		}
		pause.Reset(sendEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-slack:
		case <-board:
		case <-beat.C:
			st.buf.WriteString(": alive\n\n")
		case <-ctx.Done():
			return
		}
	}
}

// event puts one event into the buffer. JSON has no line breaks of its own.
func (st *stream) event(name string, data []byte) {
	fmt.Fprintf(&st.buf, "event: %s\ndata: %s\n\n", name, data)
}

func (st *stream) eventOf(name string, v any) {
	if body, err := json.Marshal(v); err == nil {
		st.event(name, body)
	}
}

func (st *stream) flush() error {
	if st.buf.Len() == 0 {
		return nil
	}
	_ = st.out.SetWriteDeadline(time.Now().Add(writeLimit)) //nolint:forbidigo // the machine's clock, not the world's
	if _, err := st.buf.WriteTo(st.w); err != nil {
		return err
	}
	return st.out.Flush()
}

func (st *stream) hello() {
	cfg := st.s.cfg
	st.buf.WriteString("retry: 500\n\n")
	var drill any
	if cfg.Drill != nil {
		drill = cfg.Drill.View()
	}
	st.eventOf("hello", map[string]any{
		"version": cfg.Version, "startedAt": st.s.started.UTC(), "drill": drill,
		"workspace": map[string]string{"team": cfg.Team, "command": cfg.Command},
	})
}

// sendSlack sends the screen of the person, without messages.
func (st *stream) sendSlack() {
	body, err := json.Marshal(st.s.screen(st.as))
	if err != nil || bytes.Equal(body, st.slack) {
		return
	}
	st.slack = body
	st.event("slack", body)
}

// sendMessages sends messages that changed. An event with fewer than notesAtOnce
// is the last, be it empty: the page then knows that it has seen all.
func (st *stream) sendMessages() {
	rooms := st.s.cfg.Slack.Rooms(st.as)
	if !slices.Equal(rooms, st.rooms) {
		st.rooms, st.notes, st.begun = rooms, nil, false
	}
	for full := false; ; full = true {
		notes, now := st.s.cfg.Slack.Notes(st.as, st.notes, notesAtOnce)
		st.notes = now
		if len(notes) == 0 && st.begun && !full {
			return
		}
		list := make([]message, len(notes))
		for i, n := range notes {
			list[i] = messageOf(n)
		}
		st.eventOf("messages", map[string]any{"reset": !st.begun, "messages": list})
		st.begun = true
		if len(notes) < notesAtOnce {
			return
		}
	}
}

// sendParts sends what everybody sees alike.
func (st *stream) sendParts() {
	for _, name := range parts() {
		p := st.s.board.part(name)
		if p.n == st.sent[name] {
			continue
		}
		st.sent[name] = p.n
		body := p.body
		if name == "rotation" { // the time of sending is no change
			now, _ := json.Marshal(st.s.cfg.Clock.Now().UTC())
			body = slices.Concat([]byte(`{"now":`), now, []byte(","), body[1:])
		}
		st.event(name, body)
	}
}

// sendRows sends new rows of the audit record.
func (st *stream) sendRows() {
	rows := st.s.board.since(st.rows)
	if len(rows) == 0 && st.audit {
		return
	}
	st.rows += len(rows)
	if rows == nil {
		rows = []json.RawMessage{}
	}
	st.eventOf("audit", map[string]any{"reset": !st.audit, "rows": rows})
	st.audit = true
}
