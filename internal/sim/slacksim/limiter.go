package slacksim

import (
	"math"
	"time"
)

// A limiter holds faults on demand and the calls of the last minute.
type limiter struct {
	forced map[string]*forced
	codes  map[string]*forced
	calls  map[string][]time.Time
}

// A forced answer is given to the next calls of a method.
type forced struct {
	times      int // 0 means for ever
	retryAfter time.Duration
	code       string
}

func newLimiter() limiter {
	return limiter{forced: map[string]*forced{}, codes: map[string]*forced{}, calls: map[string][]time.Time{}}
}

// RateLimit answers the next times calls of method with 429 and Retry-After,
// in whole seconds, rounded up. times 0 means until RateLimit is called again
// with a negative number.
func (w *Workspace) RateLimit(method string, times int, retryAfter time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if times < 0 {
		delete(w.limits.forced, method)
		return
	}
	w.limits.forced[method] = &forced{times: times, retryAfter: retryAfter}
}

// FailMethod answers the next times calls of method with {"ok":false} and an
// error code; nothing is applied. times 0 means until FailMethod is called
// again with a negative number.
func (w *Workspace) FailMethod(method string, times int, code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if times < 0 {
		delete(w.limits.codes, method)
		return
	}
	w.limits.codes[method] = &forced{times: times, code: code}
}

// FailAuth answers every call with an authentication error, such as
// "token_revoked" or "account_inactive"; "" ends it.
func (w *Workspace) FailAuth(code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.authFail = code
}

// EnforceTiers switches the rate-limit tiers on or off.
func (w *Workspace) EnforceTiers(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cfg.EnforceTiers = on
}

// take returns the forced answer for a method and uses it up.
func take(m map[string]*forced, method string) *forced {
	f := m[method]
	if f == nil {
		return nil
	}
	if f.times > 0 {
		if f.times--; f.times == 0 {
			delete(m, method)
		}
	}
	return f
}

// retryAfter returns how long a call must wait, 0 if it may go on. key is the
// method, or for chat.postMessage the method and the channel.
func (l *limiter) retryAfter(key string, limit int, window time.Duration, now time.Time) time.Duration {
	recent := l.calls[key][:0]
	for _, at := range l.calls[key] {
		if now.Sub(at) < window {
			recent = append(recent, at)
		}
	}
	l.calls[key] = recent
	if len(recent) >= limit {
		return window - now.Sub(recent[0])
	}
	l.calls[key] = append(recent, now)
	return 0
}

// seconds rounds up to whole seconds, at least one, for Retry-After.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// tierOf returns how many calls a minute Slack promises for a method
// (testdata/contracts/slack/rate_limit_tiers.json). Two methods have special
// rules: chat.postMessage one a second and channel, auth.test hundreds a minute.
func tierOf(method string) int {
	switch method {
	case "apps.connections.open":
		return 1
	case "usergroups.list", "usergroups.users.list":
		return 20
	case "chat.update", "chat.delete", "conversations.open", "conversations.info":
		return 50
	case "auth.test":
		return 300
	}
	return 100
}
