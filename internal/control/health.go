package control

import (
	"context"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// A Health is what only the running bot knows of how it is: doctor asks for it.
type Health struct {
	Ready bool   `json:"ready"`
	Parts []Part `json:"parts"`
}

// A Part is one thing that the bot keeps going, or something that it knows from
// keeping it going: a scan, the Slack sockets, the outbox, a membership.
type Part struct {
	Name    string    `json:"name"` // stable: "sentinel/prod", "reminders", "slack", "outbox"
	OK      bool      `json:"ok"`
	Last    time.Time `json:"last,omitzero"`      // when it last did its work; zero: not yet
	EveryMS int64     `json:"every_ms,omitempty"` // how often it is to; 0: whenever there is something to do
	Detail  string    `json:"detail,omitempty"`   // what is seen
	Fix     string    `json:"fix,omitempty"`      // what to do if it is not OK
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Health == nil {
		writeProblem(w, &fault.Error{
			Kind: fault.NotFound, Reason: "no_health", Op: "control.health",
			User: "The running bot does not say how its parts are.", Fix: "Look at /readyz and at its log.",
		})
		return
	}
	h := s.cfg.Health(r.Context())
	if h.Parts == nil {
		h.Parts = []Part{}
	}
	writeJSON(w, h)
}

// Health returns how the parts of the bot are, and when each last did its work.
// It returns a *fault.Error with the reason no_health if the bot does not say.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.ask(ctx, pathHealth, &h)
	return h, err
}
