package rotation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Pages that the texts send people to (R15, R26, R56, R69–R72).
const (
	PaperOverviewURL = "https://app.alpaca.markets/paper/dashboard/overview"
	PaperOrdersURL   = "https://app.alpaca.markets/paper/dashboard/orders"
	paperDocsURL     = "https://docs.alpaca.markets/docs/paper-trading"
	connectURL       = "https://alpaca.markets/learn/connect-to-alpaca-api"
	startPaperURL    = "https://alpaca.markets/learn/start-paper-trading"
	resetForumURL    = "https://forum.alpaca.markets/t/paper-trading-api-key-changes-with-reset/939"
)

// staleDays is how long the texts count as fresh after they were last proven (R2).
const staleDays = 180

// A Link is a page that a step sends people to.
type Link struct {
	Label string `json:"label"`
	URL   string `json:"url"`
}

// A StepText is what people read at one step: plain text without markup, in
// sentences that stand on their own.
type StepText struct {
	Title   string   `json:"title"`
	Short   string   `json:"short"` // one word, for the strip of the eight steps
	Lead    string   `json:"lead"`  // what this step is for
	Do      []string `json:"do"`    // what the reader does, or has nothing to do, in order
	Warn    []string `json:"warn"`  // what must not happen
	Gotchas []string `json:"gotchas"`
	Links   []Link   `json:"links"`
}

// A Head says what the procedure is (R1).
type Head struct {
	Title          string `json:"title"`
	Mode           string `json:"mode"`
	Validated      string `json:"validated"` // calendar day in UTC, [SOPVersion]
	Method         string `json:"method"`    // how it was validated
	MethodNote     string `json:"method_note"`
	AverageMinutes int    `json:"average_minutes"`
	Role           string `json:"role"`
}

// SOPHead returns the head of the procedure (R1, R2).
func SOPHead() Head {
	return Head{
		Title:     "Rotate Alpaca paper trading keys", // R1
		Mode:      "operator-assisted",                // R1
		Validated: SOPVersion,                         // R1
		Method:    "read-only-docs",                   // R1
		// R2
		MethodNote:     "Checked against documents only. No real rotation has proven the dashboard's wording yet.",
		AverageMinutes: 5,     // R1, R6
		Role:           "ops", // R1, R3
	}
}

// Stale returns a warning if the texts were last proven 180 days ago or more,
// or "" if they are fresh. They were proven on [SOPVersion] and by every
// completed rotation; lastCompleted is zero if there is none (R2).
func Stale(now, lastCompleted time.Time) string {
	proven, err := time.Parse(time.DateOnly, SOPVersion)
	if err != nil {
		return "" // cannot be: a test parses the constant
	}
	if lastCompleted.After(proven) {
		proven = lastCompleted
	}
	days := int(now.Sub(proven) / (24 * time.Hour))
	if days < staleDays {
		return ""
	}
	return fmt.Sprintf("These steps were last proven on %s, %d days ago. The dashboard may look different now. Go by the labels, not by the place on the page.",
		proven.UTC().Format(time.DateOnly), days)
}

// Prerequisites returns what only the operator can confirm before the click.
// Text and Hint fit an option of a Slack checkbox, 75 characters each.
func Prerequisites() []Prerequisite {
	return []Prerequisite{
		{ // R14
			Name: "dashboard_access",
			Text: "I am logged in to the Alpaca dashboard (SSO or e-mail)",
			Hint: "Try it now, in another tab.",
		},
		{ // R15, R77
			Name: "paper_selected",
			Text: "The upper-left switcher there shows Paper, not Live",
			Hint: PaperOverviewURL,
		},
		{ // R16
			Name: "key_history",
			Text: "The current key is in Infisical, both names, with history",
			Hint: "The bot shows the versions that it found.",
		},
		{ // R17
			Name: "consumers",
			Text: "I know who uses this pair, and nobody is missing in the list",
			Hint: "Raptor backend (paper runtime), backtest service, demo modes",
		},
		{ // R13
			Name: "no_reset",
			Text: "I will not touch any reset or delete-account action",
			Hint: "Only Regenerate or View on the API Keys panel.",
		},
		{ // R33, R65
			Name: "no_way_back",
			Text: "I know: after the click there is no way back",
			Hint: "The old pair dies at once. No rollback exists.",
		},
	}
}

// TriggerText returns what people read when they choose why a rotation runs
// (R7–R11). It fits an option of a Slack menu, 75 characters.
func TriggerText(t Trigger) string {
	switch t {
	case TriggerScheduled: // R7
		return "Scheduled: the key is due"
	case TriggerOperator: // R8
		return "Suspected compromise"
	case TriggerOffboarding: // R9
		return "Somebody left (offboarding)"
	case TriggerReset: // R10
		return "Account was reset or key is dead"
	}
	return string(t)
}

// Keys of [Note.Data] in a [NoteUpdate]. Each is optional: a line whose value
// is missing is left out of the message.
const (
	NotePlace       = "place"       // of the pair in the vault, in words
	NoteProject     = "project_id"  // Infisical project
	NoteEnvironment = "environment" // Infisical environment
	NotePath        = "path"        // Infisical folder
	NoteKeyIDName   = "key_id_name"
	NoteSecretName  = "secret_name"
	NoteLast4       = "key_id_last4" // of the new key ID
)

// Text returns what people read at the step called name. It panics if there is
// no such step.
func Text(name StepName) StepText {
	switch name {
	case StepPrecheck:
		return precheckText()
	case StepGenerate:
		return generateText()
	case StepValidate:
		return validateText()
	case StepStore:
		return storeText()
	case StepPropagate:
		return propagateText()
	case StepVerify:
		return verifyText()
	case StepRevoked:
		return revokedText()
	case StepRecord:
		return recordText()
	}
	panic("rotation: no text for step " + string(name))
}

// TextsSHA256 returns the SHA-256, in lower-case hex, of everything that people
// are told: the record of a rotation names it, so that an auditor can tell
// which wording was on the screen.
func TextsSHA256() string {
	all := struct {
		SOP           string         `json:"sop"`
		Head          Head           `json:"head"`
		Prerequisites []Prerequisite `json:"prerequisites"`
		Steps         []StepText     `json:"steps"`
	}{SOP: SOPID, Head: SOPHead(), Prerequisites: Prerequisites()}
	for _, name := range StepNames() {
		all.Steps = append(all.Steps, Text(name))
	}
	// Structs and slices of strings: the encoding has one form and cannot fail.
	encoded, err := json.Marshal(all)
	if err != nil {
		panic("rotation: encode texts: " + err.Error())
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}

func precheckText() StepText {
	return StepText{
		Title: "Pre-rotation checks",
		Short: "Check",
		Lead:  "The bot tries now everything that can fail later. This step changes nothing. The outage starts only at the click in step 2.",
		Do: []string{
			"Wait for the checks. The bot asks Alpaca with the current pair and expects status ACTIVE.",                    // R19, R20
			"If the current pair is rejected already, go on: this is then a forced rotation.",                              // R21
			"If Alpaca cannot be reached, press Check again. That says nothing about the pair.",                            // R21
			"Read the snapshot: balance, positions, open orders. A restart of a consumer may cancel open orders.",          // R18, R22
			"Compare the account number with the one in the dashboard. Step 3 checks that it is still the same.",           // R23
			"Answer the questions, tick every prerequisite, then press Go on. After the paste you are not asked anything.", // R11, R14–R17
		},
		Warn: []string{
			"Any reset or delete-account action also kills the running key and secret, silently. Older dashboards call it “Reset Paper Account”.", // R12, R10
			"Rotate only with “Regenerate” or “View” on the API Keys panel, never through a reset.",                                               // R13
		},
		Gotchas: []string{
			"A reset changes the account and the keys together. The dashboard does not separate the two. Use it only if you want both.", // R73
		},
		Links: []Link{
			{"Paper overview", PaperOverviewURL},              // R15
			{"Alpaca: paper trading", paperDocsURL},           // R69
			{"Alpaca: start paper trading", startPaperURL},    // R71
			{"Forum: a reset changes the key", resetForumURL}, // R72
		},
	}
}

func generateText() StepText {
	return StepText{
		Title: "Generate the new pair",
		Short: "Generate",
		Lead:  "Alpaca has no rotation API. The dashboard is the only way.", // R25
		Do: []string{
			"Open the paper overview page with the link below.",                                                                             // R26
			"Look at the upper-left switcher. It must show Paper Trading before you click anything.",                                        // R27, R77
			"Compare the account number with the one shown here. One login can hold up to three paper accounts.",                            // R23
			"Find API Keys in the right sidebar. Pages differ: go by the label.",                                                            // R28
			"Click “Regenerate” if it is offered. If there is only “View”, click it and regenerate from there. View alone rotates nothing.", // R29, R32
			"If there is only “Generate New Keys”, click that. You get a fresh pair and the old one dies in the same moment.",               // R30
			"Copy the Key ID and the secret at once. The secret is shown only once.",                                                        // R31
			"Paste both below and press Seal. Keep the dashboard tab open until you see ✔ sealed.",                                          // R34
		},
		Warn: []string{
			"The click is the point of no return. From then on the old pair is dead and trading fails until step 6 is done.", // R33
			"There is no rollback once new keys are generated.",                                                              // R65
			"Do not touch any reset or delete-account action. It kills the keys and the account with them.",                  // R12, R13
		},
		Gotchas: []string{
			"The secret is shown once, the Key ID stays visible. Copy the secret carefully.",                                                   // R75
			"Paper and live keys differ. A switcher that is not on Paper before the click is the most common source of incidents.",             // R77
			"If the new keys do not work, regenerate again. Each click kills the pair before it.",                                              // R66
			"As of 2026-04-24 Alpaca offers no API for this. Treat it as permanently manual and do not script the dashboard.",                  // R76
			"Did you use a reset or delete-account action, or did the page look different? Go on here, and tell the ops channel what you saw.", // R73
		},
		Links: []Link{
			{"Open the paper overview", PaperOverviewURL},     // R26
			{"Alpaca: where the API keys are", connectURL},    // R70
			{"Alpaca: paper trading", paperDocsURL},           // R69
			{"Forum: a reset changes the key", resetForumURL}, // R72
		},
	}
}

func validateText() StepText {
	return StepText{
		Title: "Validate the new pair",
		Short: "Validate",
		Lead:  "The bot asks Alpaca with the new pair before anything is stored.", // R35
		Do: []string{
			"You have nothing to do. Expected: status ACTIVE and the same account number as before.",                        // R36, R37
			"You see status, account number and buying power, and nothing else.",                                            // R38
			"If the pair is rejected, nothing was written anywhere. Copy it again, or regenerate and paste the newer pair.", // R39, R66
		},
		Warn: []string{
			"Another account number stops the rotation here, before anything is stored.", // R37
		},
		Gotchas: []string{
			"The paper account number stays the same when keys are regenerated. Another number means another account, or a reset.", // R74
		},
		Links: []Link{{"Paper overview", PaperOverviewURL}}, // R39
	}
}

func storeText() StepText {
	return StepText{
		Title: "Store in Infisical",
		Short: "Store",
		Lead:  "Both values go to Infisical in one request: both or neither.", // R40–R42
		Do: []string{
			"You have nothing to do. The bot reads both values back and compares them.", // R42
		},
		Warn: []string{
			"Never put a key on a command line, in a log or in a chat. The bot does not either.", // R43
			"Do not edit these two secrets by hand while the rotation is open.",                  // R42
		},
	}
}

func propagateText() StepText {
	return StepText{
		Title: "Propagate",
		Short: "Propagate",
		Lead:  "Every consumer gets the new pair at the same time. Each has its own retry, and one failure does not stop the others.", // R51
		Do: []string{
			"You have nothing to do unless a line is red. Then read what happened and what to do.",                   // R51
			"Heroku: each app gets both values in one change, staging too.",                                          // R44, R45
			"Developers get a message that says how to pull the new pair. It never carries the value.",               // R46, R47
			"GitHub Actions: both secrets are set. A run that is queued already keeps the old value.",                // R48, R49
			"Backtest service and demo modes have a line of their own, or the line says which consumer covers them.", // R50
		},
		Warn: []string{
			"Never put an earlier value back, also not with a Heroku rollback. The old pair is dead and does not authenticate.", // R67
			"Forward is the only fix: do steps 5 and 6 again with the current live pair.",                                       // R65, R68
		},
	}
}

func verifyText() StepText {
	return StepText{
		Title: "Verify downstream",
		Short: "Verify",
		Lead:  "Each consumer proves that it works with the new pair.", // R52
		Do: []string{
			"You have nothing to do. The bot asks each configured endpoint and expects the trading account to be ACTIVE.",                                             // R52, R53
			"It waits for each restart or release before it judges.",                                                                                                  // R54
			"If you chose the test order, the bot sends one small order with mode=paper through the backend. Then it looks the order up at Alpaca with the new pair.", // R55, R56, R57
			"You can watch the order on the paper orders page.",                                                                                                       // R56
		},
		Warn: []string{
			"The test order is real on the paper book. In market hours it fills, outside it waits. So it is one share.",            // R78
			"The bot cancels the test order after the check.",                                                                      // R79
			"If it filled, the bot sells exactly what was filled. If that fails, a position of one share remains and is reported.", // R80
		},
		Gotchas: []string{
			"An order is never sent without mode=paper. If it is not on the paper page within 15 seconds, check the LIVE dashboard at once.", // R57
		},
		Links: []Link{{"Paper orders", PaperOrdersURL}}, // R56
	}
}

func revokedText() StepText {
	return StepText{
		Title: "Prove that the old pair is dead",
		Short: "Revoked",
		Lead:  "There is nothing to revoke: generating the new pair killed the old one. The bot proves it.", // R58
		Do: []string{
			"You have nothing to do. The bot asks Alpaca with the old pair and expects 401 or 403. Only the status code is kept.", // R59
		},
		Warn: []string{
			"200 is an alarm: the old pair still works. Check in the dashboard that you regenerated the keys of this account.", // R60
		},
		Gotchas: []string{
			"A timeout or a server error proves nothing. The bot asks again and never calls that dead.", // R60
		},
		Links: []Link{{"Paper overview", PaperOverviewURL}}, // R60
	}
}

func recordText() StepText {
	return StepText{
		Title: "Write the record",
		Short: "Record",
		Lead:  "The audit entry secret.rotate.completed says who rotated which secrets, how and when.", // R61–R63
		Do: []string{
			"You have nothing to do. Positions and open orders are compared with the snapshot; differences are listed.", // R22
			"The next due date counts from today. The sealed pairs are erased.",                                         // R11
		},
	}
}

// count is a number of things in words: "1 position", "2 positions".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// inWords is a limit in words: "2 min", "30 s".
func inWords(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
}
