package page

// What a person can do, as a [Drill] is told of it.
const (
	ActCommand     = "command"
	ActPress       = "press"
	ActSubmit      = "submit"
	ActClose       = "close"
	ActHome        = "home"
	ActRegenerate  = "regenerate"
	ActOpenAccount = "open account"
	ActDelete      = "delete account"
	ActKill        = "kill"
	ActStop        = "stop"
	ActStart       = "start"
)

// An Act is something that a person did, and what they saw of it. It holds no
// pair.
type Act struct {
	Kind    string
	As      string
	Account string // in the dashboard
	Text    string // what was typed as a command, or pressed
	Value   string // of the button; with a submission the view's callback ID
	Local   bool   // Slack's client refused the submission itself
	Shown   string // what the answer said: a refusal, texts under inputs
	Err     error
}

// note tells the drill, if there is one.
func (s *Server) note(a Act, err error) {
	if s.cfg.Drill != nil {
		a.Err = err
		s.cfg.Drill.Note(a)
	}
}

// A DrillView is how a drill stands.
type DrillView struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Story   string  `json:"story"`
	Goal    string  `json:"goal"`
	Elapsed float64 `json:"elapsed_s"` // whole seconds while it runs
	Running bool    `json:"running"`
	Score   *Score  `json:"score"`
}

// A Score is how somebody did.
type Score struct {
	Exposed    float64     `json:"exposed_s"`
	Actions    int         `json:"actions"`
	WrongTurns []WrongTurn `json:"wrongTurns"`
	Undone     []string    `json:"undone"`
	Passed     bool        `json:"passed"`
	Lines      [][2]string `json:"lines"`
}

// A WrongTurn is an act that did not lead to the goal.
type WrongTurn struct {
	At   float64 `json:"at"` // seconds since the start
	What string  `json:"what"`
}
