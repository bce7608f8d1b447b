package slacksim_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// The people and places of every test.
const (
	ada     = "U0ADA"
	bob     = "U0BOB"
	ext     = "U0EXT" // of another organisation, in the shared channel
	ops     = "C0OPS"
	shared  = "C0SHARED"
	private = "G0PRIVATE" // the bot is not in it
	public  = "C0PUBLIC"  // the bot is not in it
)

// workspace starts a workspace with two people, a guest and four channels.
func workspace(t testing.TB, cfg slacksim.Config) *slacksim.Workspace {
	t.Helper()
	w := slacksim.New(cfg)
	bot := w.Config().BotUserID
	w.AddUser(slacksim.User{ID: ada, Name: "ada"})
	w.AddUser(slacksim.User{ID: bob, Name: "bob"})
	w.AddUser(slacksim.User{ID: ext, TeamID: "T0OTHER"})
	w.AddGroup(slacksim.Group{ID: "S0OPS", Handle: "ops", Users: []string{ada}})
	w.AddChannel(slacksim.Channel{ID: ops, Name: "ops", Members: []string{ada, bot}})
	w.AddChannel(slacksim.Channel{ID: shared, Members: []string{ada, ext, bot}, ExtShared: true})
	w.AddChannel(slacksim.Channel{ID: private, Private: true, Members: []string{ada}})
	w.AddChannel(slacksim.Channel{ID: public, Members: []string{ada}})
	if err := w.Start(); err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// api returns slack-go's client for the workspace.
func api(w *slacksim.Workspace) *slack.Client {
	c := w.Config()
	return slack.New(c.BotToken, slack.OptionAppLevelToken(c.AppToken), slack.OptionAPIURL(w.APIURL()))
}

// A bot is slack-go's Socket Mode client with a handler for each event. The
// handler acknowledges.
type bot struct {
	*socketmode.Client
	done chan struct{}
}

// connect runs a bot until the test ends and waits for its hello.
func connect(t testing.TB, w *slacksim.Workspace, handle func(*bot, socketmode.Event)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &bot{Client: socketmode.New(api(w)), done: make(chan struct{})}
	before := w.Connections()
	go func() {
		defer close(b.done)
		_ = b.RunContext(ctx)
	}()
	go func() {
		for {
			select {
			case e := <-b.Events:
				if handle != nil && e.Request != nil && e.Request.EnvelopeID != "" {
					handle(b, e)
				}
			case <-b.done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-b.done
	})
	eventually(t, "hello", func() bool { return w.Connections() > before })
}

// eventually polls until ok or the test's patience ends.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within 5 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// code returns Slack's error code of err, "" for nil.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return e.Err
	}
	return err.Error()
}

func plain(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

func mrkdwn(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, s, false, false)
}

// field returns a required text input with a fixed action_id.
func field(block, label string) *slack.InputBlock {
	return slack.NewInputBlock(block, plain(label), nil, slack.NewPlainTextInputBlockElement(nil, "text_v1"))
}

// modal returns a modal with a submit button.
func modal(title string, blocks ...slack.Block) slack.ModalViewRequest {
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: plain(title), Submit: plain("Go on"), Close: plain("Cancel"), Blocks: slack.Blocks{BlockSet: blocks},
	}
}

// text returns a section.
func text(s string) *slack.SectionBlock { return slack.NewSectionBlock(mrkdwn(s), nil, nil) }

// buttons returns an actions block.
func buttons(block string, b ...slack.BlockElement) *slack.ActionBlock {
	return slack.NewActionBlock(block, b...)
}
