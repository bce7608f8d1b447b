// Package fault says what to do about an error and what a person may read
// about it. It knows no service.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Kind says what to do about an error.
type Kind int

// The kinds. Only Transient may be retried without thinking.
const (
	Internal  Kind = iota // a bug or a broken machine
	Invalid               // what was sent is wrong; a person must change it
	Denied                // a credential or permission is missing
	NotFound              // the thing is not there, or may not be seen
	Conflict              // somebody else changed it
	Transient             // try again later
	Unknown               // sent, no answer: look before repeating
)

// String returns the kind's name as it is stored and logged.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "denied", "not_found", "conflict", "transient", "unknown"}
	if k < 0 || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// An Error is an error with a kind and, if a person can act on it, a sentence
// for that person.
type Error struct {
	Kind       Kind          // what to do
	Reason     string        // stable, snake_case, for records and tests: "release_failed"
	Op         string        // "heroku.SetVars": package.Function, never a value
	User       string        // full sentence for a person; "" means the kind's default
	Fix        string        // full sentence: what to do about it; "" means the kind's default
	RetryAfter time.Duration // how long the service asked to wait; 0 means it did not say
	Err        error         // cause, for logs only
}

// Error implements error. It holds no value and no response body.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Op != "" {
		b.WriteString(": ")
	}
	b.WriteString(e.Kind.String())
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first [Error] in err's chain. A deadline or a
// cancelled call is Unknown, because it may have been sent; any other error is
// Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unknown
	}
	return Internal
}

// ReasonOf returns the stable reason of err, or its kind's name.
func ReasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Reason != "" {
		return e.Reason
	}
	return KindOf(err).String()
}

// RetryAfter returns how long the service asked to wait, or 0.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// UserText returns what a person in Slack may read about err. It never
// includes the cause.
func UserText(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.User != "" {
		return e.User
	}
	switch KindOf(err) {
	case Invalid:
		return "The request was refused as wrong."
	case Denied:
		return "Access was denied."
	case NotFound:
		return "It was not found, or our token may not see it."
	case Conflict:
		return "Somebody else changed it at the same time."
	case Transient:
		return "The service did not answer properly."
	case Unknown:
		return "The request was sent but no answer came, so it is not known whether it worked."
	case Internal:
	}
	return "Something inside Keyturn broke."
}

// FixText returns what a person can do about err.
func FixText(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Fix != "" {
		return e.Fix
	}
	switch KindOf(err) {
	case Invalid:
		return "Check this entry in bot.yml, then press Retry."
	case Denied:
		return "Check the bot's token and its permissions, then press Retry."
	case NotFound:
		return "Check the name in bot.yml and what the bot's token may see, then press Retry."
	case Conflict, Transient, Unknown:
		return "Press Retry; the bot looks at what is there before it writes."
	case Internal:
	}
	return "Look in the bot's log, then press Retry."
}
