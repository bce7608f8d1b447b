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
	VerbStart  Verb = "start" // or resume
	VerbStatus Verb = "status"
	VerbHelp   Verb = "help"
)

// A Command is a command as it was typed.
type Command struct {
	Verb   Verb
	KeySet string // with VerbStart; "" if none was named
}

// Parse reads the text behind the command's name. More than one word, or
// anything that cannot be the name of a key set, is a call for help; the names
// of key sets are checked where they are known.
func Parse(text string) Command {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return Command{Verb: VerbStart}
	}
	if len(words) > 1 {
		return Command{Verb: VerbHelp}
	}
	switch words[0] {
	case "status":
		return Command{Verb: VerbStatus}
	case "help", "-h", "--help", "?":
		return Command{Verb: VerbHelp}
	}
	return Command{Verb: VerbStart, KeySet: words[0]}
}
