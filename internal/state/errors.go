package state

import (
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// errDamaged marks what can only come from a damaged file.
var errDamaged = errors.New("damaged")

// restoreFix is what to do about a file that cannot be trusted any more.
const restoreFix = "Stop the bot, put the file aside, and go back to the last good copy with: bot restore FILE."

// guard runs f and turns a panic, or a fault in the mapped file, into
// errDamaged: this is how bbolt meets a page that makes no sense.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read page: %v: %w", p, errDamaged)
		}
	}()
	return f()
}

func lockedError(path string) error {
	who := "Another bot"
	if pid := Holder(path); pid != 0 {
		who = fmt.Sprintf("Another bot (pid %d)", pid)
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "state_locked", Op: "state.Open",
		User: who + " holds " + path + "; only one process may use it.",
		Fix:  "Stop that process first, or give this bot another state.path in bot.yml.",
	}
}

func ephemeralError(dyno string) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "state_ephemeral", Op: "state.Open",
		User: "This is a Heroku dyno (DYNO is " + dyno + "). Its disk is wiped at least once a day and at every release, and the state would be lost with it, sealed keys included.",
		Fix:  "Run the bot on a machine whose disk stays.",
	}
}

func missingError(path string) error {
	return &fault.Error{
		Kind: fault.NotFound, Reason: "state_missing", Op: "state.Open",
		User: "There is no state in " + path + " yet.",
		Fix:  "Check state.path in bot.yml, or start the bot once with: bot run.",
	}
}

func foreignError(path string, cause error) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "state_foreign", Op: "state.Open", Err: cause,
		User: path + " is not a state file of Keyturn, so it is left alone.",
		Fix:  "Check state.path in bot.yml.",
	}
}

func newerError(path string, has, known int) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "state_newer", Op: "state.Open",
		User: fmt.Sprintf("%s has format %d, written by a newer Keyturn; this program understands format %d.", path, has, known),
		Fix:  "Run the newer program, or go back to a copy of the state from before the upgrade with: bot restore FILE.",
	}
}

func openError(path string, cause error) error {
	if f, ok := errors.AsType[*fault.Error](cause); ok {
		return f
	}
	switch {
	case errors.Is(cause, berrors.ErrTimeout):
		return lockedError(path)
	case errors.Is(cause, errDamaged), errors.Is(cause, berrors.ErrChecksum):
		return damagedError("state.Open", path, cause)
	case errors.Is(cause, berrors.ErrInvalid), errors.Is(cause, berrors.ErrVersionMismatch), errors.Is(cause, berrors.ErrInvalidMapping):
		return foreignError(path, cause)
	}
	return &fault.Error{
		Kind: fault.Internal, Reason: "state_unusable", Op: "state.Open", Err: cause,
		User: "The state file " + path + " cannot be opened for use.",
		Fix:  "Check that its directory exists, that the bot's user owns both, and that the disk is not full or read-only.",
	}
}

func damagedError(op, path string, cause error) *fault.Error {
	return &fault.Error{
		Kind: fault.Internal, Reason: "state_damaged", Op: op, Err: cause,
		User: "The state file " + path + " is damaged. Nothing more is read from it or written to it.",
		Fix:  restoreFix,
	}
}

// unwrittenError says that nothing of a commit was written, and why.
func unwrittenError(path string, cause error) error {
	e := &fault.Error{
		Kind: fault.Internal, Reason: "state_unwritten", Op: "state.Txn", Err: cause,
		User: "The state file " + path + " could not be written. Nothing of this change was stored.",
		Fix:  "Check that the disk that holds it is there, writable and not full, then try again.",
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, berrors.ErrMaxSizeReached} {
		if errors.Is(cause, full) {
			e.Reason = "state_disk_full"
			e.User = "The disk that holds " + path + " is full. Nothing of this change was stored."
			e.Fix = "Make room on that disk, then try again; nothing needs to be restarted."
		}
	}
	return e
}

// unsureError marks a commit that may or may not be on the disk.
func unsureError(path string, cause error) *fault.Error {
	return &fault.Error{
		Kind: fault.Internal, Reason: "state_unsure", Op: "state.Txn",
		Err:  fmt.Errorf("%w: %w", rotation.ErrUnknown, cause),
		User: "The disk that holds " + path + " failed while writing, so it is not known whether the last change is stored. Nothing more is written.",
		Fix:  "Check the disk, then restart the bot: it reads what is really stored and goes on from there.",
	}
}

// busyError says that a transaction never began.
func busyError(path string, cause error) error {
	return &fault.Error{
		Kind: fault.Transient, Reason: "state_busy", Op: "state.Txn", Err: cause,
		User: "The state file " + path + " was too busy. Nothing of this change was stored.",
		Fix:  "Press again.",
	}
}

// readError explains an error of a read transaction.
func (s *Store) readError(op string, err error) error {
	switch {
	case errors.Is(err, errDamaged):
		f := damagedError(op, s.path, err)
		s.broken.CompareAndSwap(nil, f)
		return f
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return errClosed
	}
	return err
}
