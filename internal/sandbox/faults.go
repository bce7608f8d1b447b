package sandbox

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Fault is something that goes wrong in a rotation, and how that must end. The
// zero Fault is a rotation in which nothing goes wrong.
type Fault struct {
	Name    string
	What    string                       // what happens, one line
	Limits  func(*rotation.Limits)       // what else the bot waits for less long than usual; nil: nothing
	Prepare func(*World) error           // before the bot starts; nil: the world is as usual
	Act     func(*Scene) error           // what people do; nil: as usual
	End     string                       // outcome: waiting or cancelled; "" means completed
	Differs Differences                  // of the world at the end
	Later   bool                         // developers do not press Updated while somebody looks
	Also    func(*Scene, Report) []Check // more to look at; nil: nothing
}

// Differences are how the world may differ at the end from that after a plain
// rotation. The zero Differences: in nothing.
type Differences struct {
	Carried       int    // envelopes that carried the new secret; 0 means 1
	KeyIDVersion  int    // in Infisical; 0 means 2
	SecretVersion int    // in Infisical; 0 means 2
	LiveOrder     bool   // the one test order went to the LIVE book
	NewAccount    bool   // the account is another one: nothing of the old one is left
	Repeats       bool   // a developer may have been told twice, the second time with a remark
	Down          string // an app that does not run at all
}

func (f Fault) end() string { return cmp.Or(f.End, completed) }

// prepare makes the world ready for the fault. Where something goes wrong the
// bot's waits are short.
func (f Fault) prepare(w *World) error {
	if f.Name == "" {
		return nil
	}
	limits := quick()
	if f.Limits != nil {
		f.Limits(&limits)
	}
	if err := w.bequeath(limits); err != nil {
		return err
	}
	if f.Prepare != nil {
		if err := f.Prepare(w); err != nil {
			return fmt.Errorf("prepare %s: %w", f.Name, err)
		}
	}
	w.before = w.book()
	return nil
}

// Faults returns every fault, in the order of the procedure's steps.
func Faults() []Fault {
	return slices.Concat(pasteFaults(), forwardFaults(), vaultFaults(), consumerFaults(), webhookFaults(), orderFaults(), slackFaults(), crashFaults())
}

// FaultByName returns a fault. The empty name is that of the zero Fault.
func FaultByName(name string) (Fault, bool) {
	if name == "" {
		return Fault{}, true
	}
	all := Faults()
	if i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Fault{}, false
}
