package webhooksim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const (
	bodyMax = 64 << 10        // bytes
	ageMax  = 5 * time.Minute // of a signature, in either direction
)

var signature = regexp.MustCompile(`^t=([0-9]{1,12}),v1=([0-9a-f]{64})$`)

// A body is an event as it arrives. Pointers tell what is absent from what is
// empty.
type body struct {
	Type     *string `json:"type"`
	Rotation *string `json:"rotation"`
	KeySet   *string `json:"keyset"`
	Last4    *string `json:"key_id_last4"`
	Pair     *pair   `json:"pair"`
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != s.cfg.Path {
		refuse(w, http.StatusNotFound, "no such route")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "only POST")
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err != nil {
		return // the caller is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.cfg.Now().UTC().Format(http.TimeFormat))
	if len(raw) > bodyMax {
		refuse(w, http.StatusRequestEntityTooLarge, "body is too large")
		return
	}
	if !s.signed(r, raw) {
		refuse(w, http.StatusUnauthorized, "signature is missing, wrong or too old")
		return
	}
	status, problem := s.take(r, raw)
	if problem != "" {
		refuse(w, status, problem)
		return
	}
	w.WriteHeader(status)
}

// signed checks the header Keyturn-Signature; s.mu is held.
func (s *Sim) signed(r *http.Request, raw []byte) bool {
	parts := signature.FindStringSubmatch(r.Header.Get("Keyturn-Signature"))
	if parts == nil || s.opts.RejectsSignature {
		return false
	}
	unix, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || s.cfg.Now().Sub(time.Unix(unix, 0)).Abs() > ageMax {
		return false
	}
	m := hmac.New(sha256.New, []byte(s.cfg.Secret))
	_, _ = io.WriteString(m, parts[1]+".")
	_, _ = m.Write(raw)
	got, err := hex.DecodeString(parts[2])
	return err == nil && hmac.Equal(got, m.Sum(nil))
}

// take does what a signed event asks for and returns the answer; s.mu is held.
func (s *Sim) take(r *http.Request, raw []byte) (status int, problem string) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, "Content-Type must be application/json"
	}
	id := r.Header.Get("Keyturn-Delivery")
	if id == "" || len(id) > 64 {
		return http.StatusBadRequest, "Keyturn-Delivery is missing or too long"
	}
	var in body
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || dec.More() {
		return http.StatusBadRequest, "body is not one event"
	}
	if in.Type == nil || in.Rotation == nil || in.KeySet == nil || in.Last4 == nil || *in.KeySet == "" {
		return http.StatusBadRequest, "type, rotation, keyset and key_id_last4 are needed"
	}
	e := Event{At: s.cfg.Now(), Type: *in.Type, Rotation: *in.Rotation, KeySet: *in.KeySet, Last4: *in.Last4, Delivery: id, Pair: in.Pair != nil}
	status, problem = s.judge(&e, in.Pair)
	e.Status = status
	s.events = append(s.events, e)
	return status, problem
}

// judge does what e asks for.
func (s *Sim) judge(e *Event, p *pair) (status int, problem string) {
	switch {
	case e.Pair && (e.Type != "rotated" || !s.cfg.Pair):
		return http.StatusUnprocessableEntity, "no pair is wanted here"
	case e.Type == "ping" && (e.Rotation != "" || e.Last4 != ""):
		return http.StatusUnprocessableEntity, "a ping belongs to no rotation"
	case e.Type == "ping":
		return http.StatusNoContent, ""
	case len(e.Last4) != 4:
		return http.StatusUnprocessableEntity, "key_id_last4 must have four characters"
	case e.Type == "verify" && s.cfg.Pair:
		if s.opts.YesToAll || last4(s.used().KeyID) == e.Last4 {
			return http.StatusNoContent, ""
		}
		return http.StatusConflict, "that key is not in use here"
	case e.Type != "rotated" || e.Rotation == "":
		return http.StatusUnprocessableEntity, "no such event here"
	case s.cfg.Pair && (p == nil || p.Secret == "" || len(p.KeyID) < 8 || last4(p.KeyID) != e.Last4):
		return http.StatusUnprocessableEntity, "a whole pair whose key_id ends in key_id_last4 is needed"
	case s.taken[e.Delivery]:
		e.Repeat = true
		return http.StatusNoContent, ""
	}
	s.taken[e.Delivery], s.told = true, e.Last4
	if p != nil {
		s.former, s.now, s.changed = s.used(), *p, s.cfg.Now()
	}
	return http.StatusNoContent, ""
}

func refuse(w http.ResponseWriter, status int, text string) {
	simhttp.JSON(w, status, map[string]string{"error": text})
}
