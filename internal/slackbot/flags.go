package slackbot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/fault"
)

// answerMax is how much of Slack's answer is read, in bytes.
const answerMax = 64 << 10

// spread returns how long it takes to ask about n people, one after the other.
func spread(n int) time.Duration { return time.Duration(n) * flagsEvery }

// keepFlags asks users.info about one person after the other, who was asked
// about longest ago first and new people at once. All are asked about in the
// time between two looks at the groups, or as fast as Slack allows where they
// are too many for that.
func (r *Roster) keepFlags(ctx context.Context) error {
	for told := false; ; {
		person, n, isNew := r.next()
		if !isNew && n > 0 && !told {
			told = true
			close(r.ready)
		}
		if !isNew {
			if err := pause(ctx, jittered(r.b.times.Roster/time.Duration(max(n, 1))), r.fresh); err != nil {
				return err
			}
			if person, _, _ = r.next(); person == "" {
				continue
			}
		}
		if err := r.pace.Wait(ctx); err != nil {
			return ctx.Err()
		}
		if err := r.ask(ctx, person); err != nil && ctx.Err() == nil {
			err = slackFault("slackbot.Roster", err)
			r.b.cfg.Log.WarnContext(ctx, "person not looked up", slog.String("user", person), slog.Any("error", err))
			if err := pause(ctx, max(r.b.times.Again, fault.RetryAfter(err)), nil); err != nil {
				return err
			}
		}
	}
}

// next returns who is asked about next, "" if nobody is known to belong
// anywhere, and out of how many. isNew means that nothing is known of them and
// they were not asked about either.
func (r *Roster) next() (person string, n int, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asOf.IsZero() {
		return "", 0, false
	}
	everybody := r.everybody()
	for p := range everybody {
		if person == "" || r.tried[p] < r.tried[person] {
			person = p
		}
	}
	return person, len(everybody), person != "" && r.tried[person] == 0
}

// ask asks about one person.
func (r *Roster) ask(ctx context.Context, person string) error {
	r.mu.Lock()
	r.count++
	r.tried[person] = r.count
	team := r.team
	r.mu.Unlock()
	began := r.b.cfg.Now()
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	u, err := r.b.api.GetUserInfoContext(limited, person)
	f := flag{at: began}
	switch code := slackCode(err); {
	case code == "user_not_found":
		f.barred = "deleted"
	case code == "user_not_visible":
		f.barred = "external"
	case err != nil:
		return err
	default:
		f.inOrg = slices.Contains(u.Enterprise.Teams, team)
		f.barred = bar(u, u.TeamID == team || f.inOrg)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flags[person] = f
	return nil
}

// bar says why a person may do nothing at all, or "".
func bar(u *slack.User, ours bool) string {
	switch {
	case u.Deleted:
		return "deleted"
	case u.IsBot || u.IsAppUser:
		return "bot"
	case u.IsRestricted || u.IsUltraRestricted:
		return "guest"
	case u.IsStranger || !ours:
		return "external"
	}
	return ""
}

// An origin is where a payload says that a person comes from.
type origin struct {
	elsewhere bool // another workspace
	install   bool // the app is installed for a whole organisation
}

// came notes what a payload says of a person. People of another workspace can
// press buttons in a shared channel (docs.slack.dev/apis/slack-connect); they
// are not in our groups as a rule, but nothing rests on that alone. A team that
// the payload does not name says nothing.
func (r *Roster) came(person string, install bool, teams ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := origin{install: install}
	for _, t := range teams {
		if t != "" && r.team != "" && t != r.team {
			from.elsewhere = true
		}
	}
	if from == (origin{}) {
		delete(r.origins, person)
		return
	}
	r.origins[person] = from
}

// workspace returns the ID of the workspace that the bot is installed in. One
// that is installed for a whole organisation is refused: there everybody of
// every workspace could reach it. The library leaves out the field that says
// so, hence the call of our own (samples/auth.test.json).
func (b *Bot) workspace(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.cfg.APIURL+"auth.test", nil)
	if err != nil {
		return "", fmt.Errorf("ask who the bot is: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+b.cfg.BotToken.Reveal())
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := refusedBy(resp); err != nil {
		return "", err
	}
	var who struct {
		OK      bool   `json:"ok"`
		Error   string `json:"error"`
		TeamID  string `json:"team_id"`
		Install bool   `json:"is_enterprise_install"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerMax)).Decode(&who); err != nil {
		return "", fmt.Errorf("read who the bot is: %w", err)
	}
	switch {
	case !who.OK:
		return "", slack.SlackErrorResponse{Err: who.Error}
	case who.Install || !strings.HasPrefix(who.TeamID, "T"):
		return "", &fault.Error{
			Kind: fault.Denied, Reason: "org_wide_install", Op: "slackbot.workspace",
			User: "The Slack app is installed for a whole organisation, not for one workspace.",
			Fix:  "Remove that installation and install the app in the one workspace that holds the ops channel.",
		}
	}
	return who.TeamID, nil
}

// refusedBy returns what the library would say about an answer that is no
// answer of Slack's own, as it may come while Slack has trouble.
func refusedBy(resp *http.Response) error {
	if resp.StatusCode == http.StatusTooManyRequests {
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			return &slack.RateLimitedError{RetryAfter: time.Duration(after) * time.Second}
		}
	}
	if resp.StatusCode != http.StatusOK {
		return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	}
	return nil
}
