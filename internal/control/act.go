package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A paste is how a pair crosses the socket. It is decoded into secrets at once,
// and no error or log line quotes it.
type paste struct {
	Rotation rotation.ID `json:"rotation"`
	Reason   string      `json:"reason,omitempty"`
	KeyID    string      `json:"key_id"`
	Secret   string      `json:"secret"`
}

// to answers with what f returns. f goes on when the terminal hangs up.
func (s *Server) to(acting context.Context, f func(ctx context.Context, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.busy.Add(1)
		defer s.busy.Done()
		ctx, cancel := context.WithTimeout(acting, actLimit)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		answer, err := f(context.WithValue(ctx, loginKey{}, loginFrom(r.Context())), r) //nolint:contextcheck // see above
		if err != nil {
			writeProblem(w, err)
			return
		}
		writeJSON(w, answer)
	}
}

// decode reads a request. What it says of a bad one quotes nothing of it.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields() // a field of a newer program must not be lost silently
	if d.Decode(into) != nil {
		return badRequest("the request has another form")
	}
	return nil
}

func (s *Server) act(ctx context.Context, r *http.Request) (any, error) {
	var in Request
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	do, ok := s.doers[in.Act]
	if !ok {
		return nil, badRequest("there is no such act here")
	}
	in.Reason = strings.TrimSpace(in.Reason)
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.aboutKeySet() {
		in.Rotation = "" // the gate and the record are told of what the act is done to
	}
	about, err := s.subject(ctx, in.Rotation, in.KeySet)
	if err != nil {
		return nil, err
	}
	by, err := s.admit(ctx, in.Act, about, in.Reason)
	if err != nil {
		return nil, err
	}
	return do(ctx, s.cfg.Acts, by, in)
}

func (s *Server) paste(ctx context.Context, r *http.Request) (any, error) {
	var in paste
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	keyID, key := secret.New(in.KeyID), secret.New(in.Secret)
	if in.Rotation == "" {
		return nil, badRequest("it does not say what it is about")
	}
	if in.Reason = strings.TrimSpace(in.Reason); secret.KeyLike(in.Reason) {
		return nil, keyLikeError()
	}
	if tooLong(in.Reason) {
		return nil, tooLongError()
	}
	about, err := s.subject(ctx, in.Rotation, "")
	if err != nil {
		return nil, err
	}
	by, err := s.admit(ctx, commands.ActPaste, about, in.Reason)
	if err != nil {
		return nil, err
	}
	got, err := s.cfg.Acts.Paste(ctx, by, in.Rotation, keyID, key)
	return Pasted{Problems: got.Problems, Warning: got.Warning, Candidate: got.Sealed, Again: got.Again}, err
}

// subject says what an act is about, as the gate wants to know it.
func (s *Server) subject(ctx context.Context, id rotation.ID, keyset string) (commands.Subject, error) {
	if id == "" {
		if !slices.Contains(s.cfg.Engine.KeySets(), keyset) { // what was typed goes into no record
			return commands.Subject{}, &fault.Error{
				Kind: fault.NotFound, Reason: "no_keyset", Op: "control.act",
				User: "There is no key set " + strconv.Quote(keyset) + ".", Fix: "Configured: " + strings.Join(s.cfg.Engine.KeySets(), ", ") + ".",
			}
		}
		open, err := s.cfg.Engine.Active(ctx, keyset)
		if errors.Is(err, rotation.ErrNotFound) {
			return commands.Subject{KeySet: keyset}, nil
		}
		if err != nil {
			return commands.Subject{}, err
		}
		id = open
	}
	o, err := s.cfg.Engine.Look(ctx, id)
	if err != nil {
		return commands.Subject{}, noRotation(id, err)
	}
	return commands.Subject{
		Rotation: id, KeySet: o.Rotation.KeySet, Exposed: o.Rotation.Outcome == rotation.Open && o.Rotation.Exposure().Running,
	}, nil
}
