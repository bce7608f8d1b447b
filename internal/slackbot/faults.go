package slackbot

import (
	"context"
	"errors"
	"net"
	"regexp"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/fault"
)

// retryAfterMax is the longest wait that Slack may ask for. What stands in a
// header may be any number, and a bot that waits for a year is down.
const retryAfterMax = 15 * time.Minute

// slackCodes have this form. Whatever else stands in Slack's error field is not
// repeated: it may be something that was sent.
var slackCodes = regexp.MustCompile(`^[a-z_]{1,60}$`)

// slackCode returns Slack's error code; "" if it named none.
func slackCode(err error) string {
	e, ok := errors.AsType[slack.SlackErrorResponse](err)
	switch {
	case !ok:
		return ""
	case slackCodes.MatchString(e.Err):
		return e.Err
	}
	return "unreadable_code"
}

// slackFault says what to do about an error of a call to Slack. The codes are
// those of https://docs.slack.dev/reference/methods.
func slackFault(op string, err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*fault.Error](err); ok {
		return own
	}
	f := &fault.Error{Kind: fault.Internal, Reason: slackCode(err), Op: op, Err: errors.New("slack call failed")}
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		f.Kind, f.Reason, f.RetryAfter = fault.Transient, "rate_limited", min(max(limited.RetryAfter, 0), retryAfterMax)
		f.User, f.Fix = "Slack asks the bot to slow down.", "Nothing to do: the bot goes on by itself."
		return f
	}
	switch f.Reason {
	case "":
		return transportFault(f, err)
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type", "no_permission", "user_removed_from_team":
		f.Kind, f.User = fault.Denied, "Slack does not accept the bot's token or one of its scopes is missing."
		f.Fix = "Reinstall the app from manifest.yml and set both tokens again."
	case "link_disabled", "team_disabled", "access_denied":
		f.Kind, f.User = fault.Denied, "Slack does not let the bot connect: Socket Mode, the app or the workspace is switched off."
		f.Fix = "Switch Socket Mode on in the app's settings, or ask a Slack admin."
	case "not_in_channel", "is_archived", "restricted_action":
		f.Kind, f.User, f.Fix = fault.Denied, "The bot may not post there.", "Invite the bot to the ops channel."
	case "channel_not_found", "message_not_found", "cant_update_message", "edit_window_closed", "user_not_found", "not_found", "users_not_found":
		f.Kind, f.User, f.Fix = fault.NotFound, "Slack does not know this channel, message, view or person, or the bot may not see it.", "Check the ids in bot.yml, and invite the bot to the channel."
	case "ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org":
		f.Kind, f.User, f.Fix = fault.Transient, "Slack has trouble.", "Nothing to do: the bot tries again."
	case "expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_expired", "trigger_exchanged", "push_limit_reached", "hash_conflict":
		f.Kind, f.User, f.Fix = fault.Conflict, "The window could not be opened in time.", "Press the button or type the command again."
	default:
		f.Kind, f.User, f.Fix = fault.Invalid, "Slack refused what the bot sent ("+f.Reason+").", "Look in the bot's log; the rotation itself goes on."
	}
	return f
}

// transportFault tells what was not sent from what may have arrived.
func transportFault(f *fault.Error, err error) error {
	f.Kind, f.Reason = fault.Unknown, "no_answer"
	f.User, f.Fix = "Slack did not answer.", "Nothing to do: the bot tries again."
	if code, ok := errors.AsType[slack.StatusCodeError](err); ok {
		f.Reason = "http_status"
		if code.Code == 429 {
			f.Kind = fault.Transient
		}
		return f
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		f.Kind, f.Reason = fault.Transient, "unreachable"
	}
	if errors.Is(err, context.Canceled) {
		f.Reason = "stopped"
	}
	return f
}
