package app

import (
	"context"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

// lateEnds is what the outbox asks and posts through: both are made after it.
type lateEnds struct {
	slack  *slackbot.Bot
	engine *rotation.Engine
}

var (
	_ jobs.Poster  = (*lateEnds)(nil)
	_ jobs.Reacher = (*lateEnds)(nil)
	_ jobs.Looker  = (*lateEnds)(nil)
	_ jobs.Closer  = (*lateEnds)(nil)
)

// Look implements [jobs.Looker].
func (l *lateEnds) Look(ctx context.Context, id rotation.ID) (rotation.Overview, error) {
	return l.engine.Look(ctx, id)
}

// Post implements [jobs.Poster].
func (l *lateEnds) Post(ctx context.Context, o rotation.Overview, again bool) (jobs.Ref, error) {
	at, err := l.slack.Post(ctx, o, again)
	return jobs.Ref(at), err
}

// Update implements [jobs.Poster].
func (l *lateEnds) Update(ctx context.Context, at jobs.Ref, o rotation.Overview) error {
	return l.slack.Update(ctx, rotation.Posted(at), o)
}

// Note implements [jobs.Poster].
func (l *lateEnds) Note(ctx context.Context, to string, n rotation.Note, again bool) (jobs.Ref, error) {
	at, err := l.slack.Note(ctx, to, n, again)
	return jobs.Ref(at), err
}

// Reach implements [jobs.Reacher].
func (l *lateEnds) Reach(ctx context.Context, to string) error { return l.slack.Reach(ctx, to) }

// ClosePage implements [jobs.Closer].
func (l *lateEnds) ClosePage(ctx context.Context, at jobs.Ref, o rotation.Overview) error {
	return l.slack.ClosePage(ctx, rotation.Posted(at), o)
}

// CloseNote implements [jobs.Closer].
func (l *lateEnds) CloseNote(ctx context.Context, at jobs.Ref, past rotation.Record) error {
	return l.slack.CloseNote(ctx, rotation.Posted(at), past)
}
