package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// ToldPrefix starts the keys of what became of a note: + the note's own key.
const ToldPrefix = "told/"

// What the key of a note about a rotation begins with; + ID + "/". They are the
// kinds of [Notice], too.
const (
	NoticeCall       = "waiting"    // the ladder: it waits for a person; + since when + "/" + to + "/" + rung
	NoticePage       = "forced"     // the page of a forced rotation; + to
	NoticeBreakGlass = "breakglass" // to the ops channel; + login
)

// A Notice is what became of one message to a person, or to the ops channel, in
// which the bot said that a rotation needs somebody.
type Notice struct {
	Kind    string // NoticeCall, NoticePage, NoticeBreakGlass
	To      string // Slack user; "" with NoticeBreakGlass: the ops channel
	Rung    string // with NoticeCall: [RungOperator] and so on
	At      time.Time
	Problem string // reason why it was given up; "": it was delivered
}

// Notices returns what was sent about rotation id so far, by kind and key. What is
// still to be sent is none.
func Notices(ctx context.Context, store Store, id ID) ([]Notice, error) {
	var all []Notice
	for _, kind := range []string{NoticePage, NoticeCall, NoticeBreakGlass} {
		prefix := ToldPrefix + kind + "/" + string(id) + "/"
		kvs, err := store.List(ctx, prefix, "", 0)
		if err != nil {
			return nil, fmt.Errorf("list notices of %s: %w", id, err)
		}
		for _, kv := range kvs {
			var told struct {
				At      time.Time `json:"at"`
				Problem Problem   `json:"problem"`
			}
			if err := json.Unmarshal(kv.Value, &told); err != nil {
				return nil, fmt.Errorf("decode %s: %w", kv.Key, err)
			}
			n := Notice{Kind: kind, At: told.At, Problem: told.Problem.Reason}
			if n.Problem == "" && told.Problem != (Problem{}) {
				n.Problem = told.Problem.Kind
			}
			switch rest := strings.Split(strings.TrimPrefix(kv.Key, prefix), "/"); {
			case kind == NoticePage:
				n.To = rest[0]
			case kind == NoticeCall && len(rest) == 3:
				n.To, n.Rung = rest[1], rest[2]
			}
			all = append(all, n)
		}
	}
	return all, nil
}

// noticeContext is a notice as the record has it.
func (e *Engine) noticeContext(n Notice) map[string]any {
	m := map[string]any{"kind": n.Kind, "at": stamp(n.At), "delivered": n.Problem == ""}
	if n.To != "" {
		m["to"] = e.named(Actor{ID: n.To}).Admin
	}
	if n.Rung != "" {
		m["rung"] = n.Rung
	}
	if n.Problem != "" {
		m["reason"] = n.Problem
	}
	return m
}
