// Package commands reads what people type and decides who may do what. It is
// the one gate for people: every inbound surface passes it, for the person who
// pressed, at the time they press.
package commands

import "strings"

// Name is the slash command.
const Name = "/rotate-alpaca-paper"

// A Verb is what a command asks for.
type Verb string

// The verbs.
const (
	VerbStart   Verb = "start" // or resume
	VerbStatus  Verb = "status"
	VerbHistory Verb = "history"
	VerbCheck   Verb = "check" // all of step 1, opening nothing
	VerbReset   Verb = "reset" // somebody reset or deleted the account
	VerbHelp    Verb = "help"
)

// Verbs returns the words that ask for something. No key set may have one of
// them for a name: it could not be named in a command. VerbStart is none of
// them, since a start is asked for without a word.
func Verbs() []Verb { return []Verb{VerbStatus, VerbHistory, VerbCheck, VerbReset, VerbHelp} }

// A Command is a command as it was typed.
type Command struct {
	Verb   Verb
	KeySet string // with VerbStart, VerbHistory, VerbCheck and VerbReset; "" if none was named
}

// Parse reads the text behind the command's name: nothing, a key set, or a verb
// and for some verbs a key set. Anything else is a call for help; the names of
// key sets are checked where they are known.
func Parse(text string) Command {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return Command{Verb: VerbStart}
	}
	switch verb := Verb(words[0]); verb {
	case VerbHistory, VerbCheck, VerbReset:
		switch len(words) {
		case 1:
			return Command{Verb: verb}
		case 2:
			return Command{Verb: verb, KeySet: words[1]}
		}
	case VerbStatus:
		if len(words) == 1 {
			return Command{Verb: verb}
		}
	case VerbHelp, "-h", "--help", "?":
	case VerbStart: // no word of the command: a key set may be called so
		fallthrough
	default:
		if len(words) == 1 {
			return Command{Verb: VerbStart, KeySet: words[0]}
		}
	}
	return Command{Verb: VerbHelp}
}
