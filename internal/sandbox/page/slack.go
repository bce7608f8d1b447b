package page

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// A Person is one account of the workspace.
type Person struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Roles    []string `json:"roles"` // "ops", "on-call", "developer"
	Title    string   `json:"title"`
	Guest    bool     `json:"guest"`
	External bool     `json:"external"`
	Bot      bool     `json:"bot"`
}

type channel struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Kind   string `json:"kind"` // channel or dm
	Member bool   `json:"member"`
	With   string `json:"with,omitempty"` // the bot, in a direct message
}

type modal struct {
	ID      string            `json:"id"`
	Hash    string            `json:"hash"`
	Depth   int               `json:"depth"`
	Busy    bool              `json:"busy"`
	Trouble string            `json:"trouble"`
	View    json.RawMessage   `json:"view"`
	Values  json.RawMessage   `json:"values"`
	Errors  map[string]string `json:"errors"`
}

type home struct {
	View json.RawMessage `json:"view"`
}

// A screen is what a person sees in Slack, without messages.
type screen struct {
	As        string    `json:"as"`
	People    []Person  `json:"people"`
	Channels  []channel `json:"channels"`
	Modal     *modal    `json:"modal"`
	Home      *home     `json:"home"`
	BotOnline bool      `json:"botOnline"`
}

func (s *Server) screen(as string) screen {
	slack := s.cfg.Slack
	o := screen{As: as, People: s.cfg.People, Channels: []channel{}, BotOnline: slack.Sockets() > 0}
	for _, r := range slack.Rooms(as) {
		c := channel{ID: r.ID, Name: r.Name, Kind: "channel", Member: true}
		if r.With != "" {
			c.Kind, c.Name, c.With = "dm", slack.Config().BotName, slack.Config().BotUserID
		}
		o.Channels = append(o.Channels, c)
	}
	if v, ok := slack.Sheet(as); ok {
		m := modal(v)
		o.Modal = &m
	}
	if v, ok := slack.HomeSheet(as); ok {
		o.Home = &home{v.View}
	}
	return o
}

// A message is one in an event.
type message struct {
	Channel   string          `json:"channel"`
	TS        string          `json:"ts"`
	User      string          `json:"user"`
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks"`
	Thread    string          `json:"thread_ts"`
	Ephemeral bool            `json:"ephemeral"`
	Edited    bool            `json:"edited"`
	Deleted   bool            `json:"deleted"`
	At        time.Time       `json:"at"`
	N         int             `json:"n"`
}

func messageOf(n slacksim.Note) message {
	return message{
		Channel: n.Channel, TS: n.TS, User: n.User, Text: n.Text, Blocks: n.Blocks, Thread: n.ThreadTS,
		Ephemeral: n.EphemeralFor != "", Edited: n.Updates > 0, Deleted: n.Deleted, At: n.At, N: n.N,
	}
}

func (s *Server) slackRoutes() {
	post(s, "/api/slack/command", s.command)
	post(s, "/api/slack/press", s.press)
	post(s, "/api/slack/input", s.input)
	post(s, "/api/slack/submit", s.submit)
	post(s, "/api/slack/close", s.closeModal)
	post(s, "/api/slack/home", s.openHome)
}

// command says a text in a channel, or sends a slash command.
func (s *Server) command(ctx context.Context, in struct{ As, Channel, Text string }) (answer, error) {
	text := strings.TrimSpace(in.Text)
	if text == "" {
		return nil, errors.New("there is nothing to send")
	}
	if !strings.HasPrefix(text, "/") {
		_, err := s.cfg.Slack.Say(in.As, in.Channel, text)
		return answer{"response": ""}, err
	}
	name, rest, _ := strings.Cut(text, " ")
	got, err := s.cfg.Slack.Command(ctx, in.As, in.Channel, name, strings.TrimSpace(rest))
	if err == nil && got.Err != "" {
		err = errors.New(got.Err)
	}
	response := ""
	if got.Reply != nil {
		response = got.Reply.Visible()
	}
	s.note(Act{Kind: ActCommand, As: in.As, Text: text, Shown: response}, err)
	return answer{"response": response}, err
}

type pressRequest struct {
	As, Where, Channel, TS string
	BlockID                string          `json:"block_id"`
	ActionID               string          `json:"action_id"`
	Value                  string          `json:"value"`
	Option                 json.RawMessage `json:"option"` // a value, or several
	Text                   string          `json:"text"`   // of the button, for the score card
}

// options reads the chosen values.
func (in pressRequest) options() []string {
	var one string
	if json.Unmarshal(in.Option, &one) == nil && one != "" {
		return []string{one}
	}
	var many []string
	_ = json.Unmarshal(in.Option, &many)
	return many
}

// press presses a button, or chooses something that is sent at once.
func (s *Server) press(ctx context.Context, in pressRequest) (answer, error) {
	at := slacksim.Spot{BlockID: in.BlockID, ActionID: in.ActionID}
	switch in.Where {
	case "modal":
	case "home":
		at.Home = true
	case "message":
		at.Channel, at.TS = in.Channel, in.TS
	default:
		return nil, errors.New("where must be modal, home or message")
	}
	got, err := s.cfg.Slack.PressAt(ctx, in.As, at, in.options()...)
	if err == nil && got.Err != "" {
		err = errors.New("the app did not answer: " + got.Err)
	}
	s.note(Act{Kind: ActPress, As: in.As, Text: in.ActionID, Value: in.Value}, err)
	return nil, err
}

// input sets what is in an input of the modal.
func (s *Server) input(ctx context.Context, in struct {
	As       string
	BlockID  string `json:"block_id"`
	ActionID string `json:"action_id"`
	Text     *string
	Selected *[]string
},
) (answer, error) {
	switch {
	case in.Text != nil:
		return nil, s.cfg.Slack.Type(ctx, in.As, in.BlockID, *in.Text)
	case in.Selected != nil:
		return nil, s.cfg.Slack.Select(ctx, in.As, in.BlockID, *in.Selected...)
	}
	return nil, errors.New("there is neither text nor a choice")
}

// submit presses the submit button of the modal.
func (s *Server) submit(ctx context.Context, in struct{ As string }) (answer, error) {
	front, _ := s.cfg.Slack.Modal(in.As)
	got, err := s.cfg.Slack.Submit(ctx, in.As)
	texts := slices.Sorted(maps.Values(got.Errors))
	if got.Trouble != "" {
		texts = append(texts, got.Trouble)
	}
	s.note(Act{Kind: ActSubmit, As: in.As, Text: front.Submit, Value: front.CallbackID, Local: got.Local, Shown: strings.Join(texts, " ")}, err)
	found := got.Errors
	if found == nil {
		found = map[string]string{}
	}
	return answer{"closed": got.Closed, "errors": found, "trouble": got.Trouble}, err
}

func (s *Server) closeModal(ctx context.Context, in struct {
	As  string
	All bool
},
) (answer, error) {
	err := s.cfg.Slack.CloseModal(ctx, in.As, in.All)
	s.note(Act{Kind: ActClose, As: in.As}, err)
	return nil, err
}

func (s *Server) openHome(ctx context.Context, in struct{ As string }) (answer, error) {
	ok, err := s.cfg.Slack.OpenHome(ctx, in.As)
	if err == nil && !ok {
		err = errors.New("the app did not answer")
	}
	s.note(Act{Kind: ActHome, As: in.As}, err)
	return nil, err
}
