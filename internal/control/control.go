// Package control is the Unix socket between a command and a running bot, both
// ends. bbolt lets one process have the state open, so a command beside a
// running bot asks that bot.
//
// It is HTTP with JSON. Only the bot's own user and root may connect: the
// socket has mode 0600, and the kernel says who is at the other end
// (SO_PEERCRED, unix(7)).
package control

import (
	"encoding/json"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The paths of the requests.
const (
	pathAbout     = "/v1/about"
	pathRotations = "/v1/rotations"
	pathAudit     = "/v1/audit"
	pathVerify    = "/v1/audit/verify"
	pathSnapshot  = "/v1/snapshot"
	pathHealth    = "/v1/health"
	pathLook      = "/v1/look"
	pathAct       = "/v1/act"
	pathPaste     = "/v1/paste"
)

// An About says which bot answers, and whom it takes the asking person for.
type About struct {
	PID       int    `json:"pid"`
	Connected bool   `json:"connected"`        // a Slack socket is up
	Login     string `json:"login"`            // on this host, as the kernel knows it
	Person    string `json:"person,omitempty"` // the Slack user that it stands for; absent: an act is break-glass and needs a reason
}

// A RotationView is one rotation as it is now. The account's number is whole in
// it: whoever may ask may read the state file too.
type RotationView struct {
	Rotation rotation.Rotation `json:"rotation"`
	Exposure Exposure          `json:"exposure"`
}

// An Exposure is [rotation.Exposure] with its units in the names.
type Exposure struct {
	From      time.Time `json:"from,omitzero"` // absent: the old pair is not known to be dead
	Running   bool      `json:"running"`
	TookMS    int64     `json:"took_ms"`
	AtMostMS  int64     `json:"at_most_ms"`
	MachineMS int64     `json:"machine_ms"`
}

func viewOf(r rotation.Rotation) RotationView {
	e := r.Exposure()
	return RotationView{Rotation: r, Exposure: Exposure{
		From: e.From, Running: e.Running, TookMS: e.Took.Milliseconds(), AtMostMS: e.AtMost.Milliseconds(), MachineMS: e.Machine.Milliseconds(),
	}}
}

// A Verdict is what a check of the whole audit record found.
type Verdict struct {
	Intact  bool   `json:"intact"`
	Rows    uint64 `json:"rows"`    // that are intact, from the first on
	Head    string `json:"head"`    // hash of the last of them
	Problem string `json:"problem"` // what is wrong, in a sentence
}

// problem is how an error crosses the socket.
type problem struct {
	Kind   int    `json:"kind"`
	Reason string `json:"reason"`
	User   string `json:"user"`
	Fix    string `json:"fix"`
}

// maxAnswer bounds what is read of an answer that is kept in memory, in bytes.
const maxAnswer = 64 << 20

// An AuditRow is one row of the record, as `bot audit export` writes it.
type AuditRow = json.RawMessage
