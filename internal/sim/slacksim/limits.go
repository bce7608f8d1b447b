package slacksim

// Limits of Block Kit and of the Web API, in Unicode code points or items.
// They are those of testdata/contracts/slack/slackblocks-spec/limits.json, but
// for maxOptionValue: that file says 150 and Slack's own type declarations
// (npm @slack/types 3.2.0) say 75; the lower one is used.
const (
	minText             = 1
	maxText             = 3000
	maxActionID         = 255
	maxBlockID          = 255
	maxExternalID       = 255
	maxCallbackID       = 255
	maxPrivateMetadata  = 3000
	maxViewTitle        = 24 // submit and close too
	minViewBlocks       = 1
	maxViewBlocks       = 100
	maxMessageBlocks    = 50
	maxViewBytes        = 250_000
	maxSectionFields    = 10
	maxSectionField     = 2000
	maxHeader           = 150
	maxContextElements  = 10
	maxActionsElements  = 25
	maxInputLabel       = 2000
	maxInputHint        = 2000
	maxPlaceholder      = 150
	maxButtonText       = 75
	maxButtonValue      = 2000
	maxAccessibility    = 75
	maxConfirmTitle     = 100
	maxConfirmText      = 300
	maxConfirmButton    = 30
	maxOptionText       = 75
	maxOptionValue      = 75
	maxOptionNote       = 75 // its description
	maxGroupLabel       = 75
	minGroupOptions     = 1
	maxGroupOptions     = 100
	maxSelectOptions    = 100
	maxSelectGroups     = 100
	minCheckOptions     = 1 // checkboxes and radio buttons
	maxCheckOptions     = 10
	minOverflowOptions  = 1
	maxOverflowOptions  = 5
	maxPlainTextLength  = 3000
	minFiles            = 1
	maxFiles            = 10
	maxURL              = 3000 // of buttons, options, images and videos alike
	maxImageAlt         = 2000
	maxAlert            = 200
	minMarkdown         = 1
	maxMarkdown         = 12000 // of all markdown blocks together
	maxStack            = 3     // views on top of each other
	maxPostText         = 40000
	maxUpdateText       = 4000
	maxAckBytes         = 20480 // a frame of this size or more is refused
	maxResponseURLUses  = 5
	maxSockets          = 10
	maxVideoAlt         = 200
	minVideoAlt         = 1
	maxVideoTitle       = 200
	maxVideoAuthor      = 50
	maxVideoDescription = 200
	maxVideoProvider    = 50
)

// surfacesOf returns where a block type may stand, nil for a type that does not
// exist (testdata/contracts/slack/block-surfaces.json).
func surfacesOf(block string) []string {
	switch block {
	case "actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video", "card":
		return []string{"modal", "message", "home"}
	case "carousel", "data_table", "table":
		return []string{"message", "home"}
	case "container", "context_actions", "data_visualization", "markdown", "plan", "task_card", "file":
		return []string{"message"}
	case "alert":
		return []string{"modal"}
	}
	return nil
}
