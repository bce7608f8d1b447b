package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// lookLimit is how long a look waits for a change before it answers with what
// there is.
const lookLimit = 20 * time.Second

// A View is everything that a terminal shows of a rotation. The account's number
// is whole in it: whoever may ask may read the state file too.
type View struct {
	Overview rotation.Overview `json:"overview"`
	Rev      rotation.Rev      `json:"rev"` // of the rotation; [Client.Look] sets Overview.Rotation.Rev to it
	Exposure Exposure          `json:"exposure"`
}

// A Watcher tells of changes; [rotation.Engine] does.
type Watcher interface {
	// Changed returns the rotation as it is and a channel that is closed at its
	// next change; nil if it is not open.
	Changed(ctx context.Context, id rotation.ID) (rotation.Overview, <-chan struct{}, error)
}

// look answers when the rotation has another revision than the one that the
// terminal has seen, or after lookLimit.
func (s *Server) look(w http.ResponseWriter, r *http.Request) {
	id := rotation.ID(r.FormValue("id"))
	after, err := strconv.ParseUint(r.FormValue("after"), 10, 64)
	if err != nil || id == "" {
		writeProblem(w, badRequest("a look needs id and after"))
		return
	}
	timer := time.NewTimer(s.lookLimit)
	defer timer.Stop()
	for waited := false; ; {
		o, changed, err := s.cfg.Watcher.Changed(r.Context(), id)
		if err != nil {
			writeProblem(w, noRotation(id, err))
			return
		}
		if o.Rotation.Rev != rotation.Rev(after) || changed == nil || waited {
			writeJSON(w, View{Overview: o, Rev: o.Rotation.Rev, Exposure: viewOf(o.Rotation).Exposure})
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			waited = true
		case <-s.stopping:
			waited = true
		case <-r.Context().Done():
			return
		}
	}
}

// noRotation says in words that there is none of that name.
func noRotation(id rotation.ID, err error) error {
	if !errors.Is(err, rotation.ErrNotFound) {
		return err
	}
	return &fault.Error{
		Kind: fault.NotFound, Reason: "no_rotation", Op: "control.look", Err: err,
		User: "There is no rotation " + strconv.Quote(string(id)) + ".", Fix: "bot status shows which one is open.",
	}
}

// Look returns the rotation once its revision is another than after, but at
// latest after 20 s; 0 returns it at once. A closed rotation is returned at once
// always. It returns a *fault.Error with the reason no_rotation for one that
// does not exist.
func (c *Client) Look(ctx context.Context, id rotation.ID, after rotation.Rev) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit+answerLimit)
	defer cancel()
	var v View
	query := url.Values{"id": {string(id)}, "after": {strconv.FormatUint(uint64(after), 10)}}
	err := c.call(ctx, c.patient, http.MethodGet, pathLook, query, nil, &v)
	v.Overview.Rotation.Rev = v.Rev
	return v, err
}
