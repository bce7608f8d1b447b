// Package keyturn holds the files that the program carries with it: the Slack
// app's manifest and the example settings. It knows nothing of how they are used.
package keyturn

import _ "embed" // for the two files below

//go:embed manifest.yml
var manifest string

//go:embed bot.example.yml
var exampleConfig string

// Manifest returns the Slack app's manifest as YAML. Its scopes and commands are
// exactly those that the code uses.
func Manifest() string { return manifest }

// ExampleConfig returns commented settings as YAML, which load as they are once
// the environment holds the tokens.
func ExampleConfig() string { return exampleConfig }
