package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
)

// Field names of the private intake.
const (
	FieldKeyID  = "key_id"
	FieldSecret = "secret"
)

// A Paste is what became of a submitted pair.
type Paste struct {
	Problems map[string]string // by field; nothing was sealed
	Warning  string            // unusual, but sealed
	Sealed   Candidate         // the candidate that holds the pair
	Again    bool              // the same pair was sealed before
}

// KnownNames are what else a KEY=value line may call the two halves, beside
// the names that are configured for the key set.
var knownNames = [][2]string{
	{"ALPACA_PAPER_API_KEY_ID", "ALPACA_PAPER_API_SECRET_KEY"},
	{"APCA_API_KEY_ID", "APCA_API_SECRET_KEY"},
	{"ALPACA_API_KEY", "ALPACA_SECRET_KEY"},
}

// ReadPaste understands what was typed into the two fields: surrounding space
// and quotes are cut off, and KEY=value lines are taken apart, in either field.
func ReadPaste(names Names, keyID, secretKey secret.Text) Pair {
	p := Pair{KeyID: keyID.Clean(), Secret: secretKey.Clean()}
	for _, field := range []secret.Text{keyID, secretKey} {
		lines := field.Assignments()
		for _, n := range append([][2]string{{names.KeyID, names.Secret}}, knownNames...) {
			if v, ok := lines[n[0]]; ok {
				p.KeyID = v
			}
			if v, ok := lines[n[1]]; ok {
				p.Secret = v
			}
		}
	}
	return p
}

// textInUse explains a pair that was copied, not generated (R32).
const textInUse = "This is the key that is in use now. View shows it, it does not rotate. Press Regenerate (or Generate New Keys) in the dashboard and paste the new pair."

// CheckPaste finds what can be found wrong with a pair without asking anybody
// (R32, R75, R77). old may be empty. problems are texts by field; warning is
// about something unusual that is no reason to refuse.
func CheckPaste(p, old Pair) (problems map[string]string, warning string) {
	problems = map[string]string{}
	complain := func(field, text string) {
		if problems[field] == "" {
			problems[field] = text
		}
	}
	if p.KeyID.Empty() {
		complain(FieldKeyID, "The Key ID is missing. Copy it from the API Keys panel.")
	}
	if p.Secret.Empty() {
		complain(FieldSecret, "The Secret key is missing. It is shown only once; if it is gone, generate again.")
	}
	checkShape(p, complain)
	switch {
	case len(problems) > 0 || old.Empty():
	case p.KeyID.Equal(old.KeyID):
		complain(FieldKeyID, textInUse)
	case p.Secret.Equal(old.Secret):
		complain(FieldSecret, "This is the secret that is in use now. Paste the new one, which is shown once when you generate.")
	}
	if len(problems) > 0 {
		return problems, ""
	}
	if n := p.KeyID.Len(); n != 20 && n != 26 {
		warning = fmt.Sprintf("The Key ID has %d characters; 20 or 26 are usual. ", n)
	}
	if n := p.Secret.Len(); n != 40 && n != 43 && n != 44 {
		warning += fmt.Sprintf("The Secret key has %d characters; 40, 43 or 44 are usual.", n)
	}
	return nil, warning
}

// Shaped reports whether p could be the pair of a paper account, character by
// character, as what is pasted has to be. A pair that comes from elsewhere must be
// too before it is tried or taken: a live key is sent nowhere, and space at an end,
// which does not survive a request's header, would be stored everywhere.
func (p Pair) Shaped() bool {
	problems, _ := CheckPaste(p, Pair{})
	return problems == nil
}

// checkShape looks at prefixes and characters (facts of alpaca's key formats
// are observed, not promised, so lengths only warn).
func checkShape(p Pair, complain func(field, text string)) {
	plain := func(r rune) bool {
		return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '/' || r == '+'
	}
	switch {
	case p.KeyID.Empty() || p.Secret.Empty():
	case p.KeyID.Equal(p.Secret):
		complain(FieldSecret, "Both fields hold the same value. Paste the Secret key here and the Key ID above.")
	case p.Secret.HasPrefix("PK") && !p.KeyID.HasPrefix("PK") && p.Secret.Len() < p.KeyID.Len():
		complain(FieldKeyID, "The two fields are swapped: the Key ID is the one that starts with PK. Put it here.")
		complain(FieldSecret, "The two fields are swapped: put the longer value, the Secret key, here.")
	}
	switch {
	case p.KeyID.HasPrefix("AK"):
		complain(FieldKeyID, "This is a LIVE key (it starts with AK). Nothing was sent anywhere. Switch the dashboard to Paper at the upper left, and generate there.")
	case p.KeyID.HasPrefix("CK"):
		complain(FieldKeyID, "This is a Broker API key (it starts with CK). Nothing was sent anywhere. Use the API Keys panel of the paper account.")
	case !p.KeyID.Only(plain):
		complain(FieldKeyID, "The Key ID has characters that no key has. Copy it again.")
	}
	if !p.Secret.Only(plain) {
		complain(FieldSecret, "The Secret key has characters that no key has. Copy it again.")
	}
}

// Paste takes a new pair in (R34): offline check, seal, commit, read back. When
// it returns without an error and without problems the pair is on disk,
// encrypted, and nothing can lose it. The same pair again is found as sealed
// already; a different one becomes the next candidate. It is never refused
// because it comes late.
func (e *Engine) Paste(ctx context.Context, by Actor, id ID, keyID, secretKey secret.Text) (Paste, error) {
	by = e.named(by)
	r, err := e.must(id)
	if err != nil {
		return e.pasteLate(ctx, id, keyID, secretKey)
	}
	p := ReadPaste(r.set.Names, keyID, secretKey)
	cur, _ := r.look()
	if !cur.Step(StepPrecheck).State.Settled() {
		return Paste{}, &fault.Error{Kind: fault.Conflict, Reason: "gate_closed", Op: "rotation.Paste", User: "Step 1 is not finished, so no new pair is expected yet.", Fix: "Finish step 1 first. Do not click Generate before."}
	}
	old, err := e.oldPair(ctx, &cur)
	switch {
	case err != nil && r.over():
		return e.pasteLate(ctx, id, keyID, secretKey)
	case err != nil:
		return Paste{}, err
	}
	problems, warning := CheckPaste(p, old)
	if problems != nil {
		return Paste{Problems: problems}, nil
	}
	got := Paste{Warning: warning}
	print := e.cfg.Sealer.Print(p)
	if past, err := e.led.record(ctx, cur.KeySet); err == nil && old.Empty() && past.Print == print {
		return Paste{Problems: map[string]string{FieldKeyID: textInUse}}, nil // step 1 could not read it, but the last rotation left it
	}
	err = r.update(ctx, func(cur *Rotation, c *change) error {
		if known := cur.printed(print); known != nil {
			got.Sealed, got.Again = *known, true
			got.Warning += cur.retake(c, known, by, e.now())
			return nil
		}
		got.Sealed = Candidate{N: len(cur.Candidates) + 1, Print: print, Last4: p.Last4(), By: by, At: e.now()}
		return e.take(cur, c, got.Sealed, p)
	})
	switch {
	case errors.Is(err, errOver):
		return e.pasteLate(ctx, id, keyID, secretKey)
	case err != nil:
		return Paste{}, err
	}
	e.cfg.Log.InfoContext(ctx, "pair sealed", slog.String("rotation", string(id)), slog.String("step", string(StepGenerate)), slog.Int("candidate", got.Sealed.N), slog.Bool("again", got.Again))
	return got, e.readBack(ctx, r, got.Sealed, p)
}

// pasteLate answers a pair that comes after the rotation has ended. One that
// was sealed in it is a repeat of the same submission; any other is not taken,
// because nothing would be done with it.
func (e *Engine) pasteLate(ctx context.Context, id ID, keyID, secretKey secret.Text) (Paste, error) {
	cur, err := e.led.load(ctx, id)
	if err != nil {
		return Paste{}, err
	}
	var names Names
	if set, err := e.keySet(cur.KeySet); err == nil {
		names = set.Names
	}
	if known := cur.printed(e.cfg.Sealer.Print(ReadPaste(names, keyID, secretKey))); known != nil {
		return Paste{Sealed: *known, Again: true}, nil
	}
	return Paste{}, &fault.Error{
		Kind: fault.NotFound, Reason: errOver.Reason, Op: "rotation.Paste",
		User: "This rotation is over, so this pair was not saved.",
		Fix:  "Keep the dashboard tab open, start a new rotation with /rotate-alpaca-paper and paste the pair there.",
	}
}

// printed returns the candidate with this fingerprint, or nil.
func (r *Rotation) printed(print string) *Candidate {
	for i := range r.Candidates {
		if r.Candidates[i].Print == print {
			return &r.Candidates[i]
		}
	}
	return nil
}

// retake handles a pair that is sealed already. If step 2 waits for one, it is
// tried once more: it may have been set aside too early, and the person who
// pastes it again knows of no other. One that is proven dead is not.
func (r *Rotation) retake(c *change, cand *Candidate, by Actor, now time.Time) (warning string) {
	c.quiet = true
	switch {
	case cand.Dead:
		return "This pair was pasted before, and a later one has killed it. Generate again and paste that one."
	case r.Step(StepGenerate).State == Running:
		c.quiet = false
		cand.Aside, cand.Verdict = "", ""
		c.add(r, StepGenerate, by, "secret.rotate.sealed", map[string]any{"candidate": cand.N, "key_id_last4": cand.Last4, "fingerprint": cand.Print, "again": true})
		r.tryPair(c, *cand, by, now)
	}
	return ""
}

// take seals p as a candidate. If step 2 waits for a pair, this ends it and
// begins step 3 in the same commit. If the rotation is further on, step 3 is
// entered again: all pairs are tried, and the live one goes on.
func (e *Engine) take(cur *Rotation, c *change, cand Candidate, p Pair) error {
	if err := e.led.seal(c, cur, candidateField(cand.N), p); err != nil {
		return err
	}
	cur.Candidates = append(cur.Candidates, cand)
	c.add(cur, StepGenerate, cand.By, "secret.rotate.sealed", map[string]any{"candidate": cand.N, "key_id_last4": cand.Last4, "fingerprint": cand.Print})
	switch {
	case cur.Step(StepGenerate).State == Running:
		cur.tryPair(c, cand, cand.By, cand.At)
	case cur.Step(StepValidate).State != Running:
		cur.revalidate(c, cand.At)
	}
	return nil
}

// tryPair ends step 2 with a pair and begins step 3.
func (r *Rotation) tryPair(c *change, cand Candidate, by Actor, now time.Time) {
	r.Chosen, r.SealedAt = cand.N, cand.At
	r.Step(StepGenerate).Facts = []Fact{{Name: "key_id", Label: "New key", Value: "····" + cand.Last4}}
	r.leave(c, StepGenerate, by, now)
	r.enter(c, StepValidate, bot(), now)
}

// readBack proves that what was committed opens to what was pasted.
func (e *Engine) readBack(ctx context.Context, r *run, cand Candidate, p Pair) error {
	cur, _ := r.look()
	back, err := e.led.open(ctx, &cur, candidateField(cand.N))
	if err == nil && !back.Equal(p) {
		err = fmt.Errorf("sealed pair %d opens to something else", cand.N)
	}
	if r.over() {
		return nil // it was used already, and erased
	}
	if err != nil {
		return &fault.Error{Kind: fault.Internal, Reason: "not_sealed", Op: "rotation.Paste", User: "The pair could not be read back after saving.", Fix: "Keep the dashboard tab open and press Submit again.", Err: err}
	}
	return nil
}

// oldPair returns the pair that was current at the start; it is empty if none
// is known.
func (e *Engine) oldPair(ctx context.Context, cur *Rotation) (Pair, error) {
	if cur.OldPrint == "" {
		return Pair{}, nil
	}
	return e.led.open(ctx, cur, fieldOld)
}
