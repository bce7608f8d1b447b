package slackbot

import "context"

// Deactivated reports whether somebody's account was deactivated in Slack. known
// is false if Slack does not answer or does not know the person: then gone says
// nothing (users.info, docs.slack.dev/reference/methods/users.info).
func (b *Bot) Deactivated(ctx context.Context, id string) (gone, known bool) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	u, err := b.api.GetUserInfoContext(ctx, id)
	if err != nil {
		return false, false
	}
	return u.Deleted, true
}
