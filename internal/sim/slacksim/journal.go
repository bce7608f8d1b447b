package slacksim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Entry is one request or frame.
type Entry struct {
	At     time.Time
	Via    string // "web", "socket" or "response_url"
	Method string // "views.open"; "ack"; for what was sent: "view_submission", "hello", …
	Raw    []byte // as it came or went; for "web" without the Authorization header
	Body   []byte // a form with its percent-encoding removed, one "key=value" a line; else Raw
}

// Journal returns every request and frame that the bot sent, oldest first.
func (w *Workspace) Journal() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.entries)
}

// Sent returns every frame that Slack sent to the bot, oldest first. What
// people type is in there and must be nowhere else.
func (w *Workspace) Sent() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// Problems returns what the bot did that Slack passes over in silence: unknown
// paths, acks that came late, on the wrong socket, too big or unreadable. A
// test of a well-behaved bot wants none.
func (w *Workspace) Problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.problems)
}

// Find returns the entries of the journal that hold text, raw, decoded, or as
// a JSON string. Use it to look for a planted secret.
func (w *Workspace) Find(text string) []Entry {
	quoted, _ := json.Marshal(text)
	forms := [][]byte{[]byte(text), quoted[1 : len(quoted)-1], []byte(url.QueryEscape(text))}
	var found []Entry
	for _, e := range w.Journal() {
		if slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Contains(e.Raw, f) || bytes.Contains(e.Body, f) }) {
			found = append(found, e)
		}
	}
	return found
}

// note writes down what the bot sent; w.mu is held.
func (w *Workspace) note(via, method string, raw []byte, form url.Values) {
	e := Entry{At: w.cfg.Now().UTC(), Via: via, Method: method, Raw: raw, Body: raw}
	if form != nil {
		var b strings.Builder
		for _, key := range sortedKeys(form) {
			for _, value := range form[key] {
				fmt.Fprintf(&b, "%s=%s\n", key, value)
			}
		}
		e.Body = []byte(b.String())
	}
	w.entries = append(w.entries, e)
}

// problem writes down what Slack would pass over in silence; w.mu is held.
func (w *Workspace) problem(text string) { w.problems = append(w.problems, text) }

func lower(s string) string { return strings.ToLower(s) }
