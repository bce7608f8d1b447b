package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/raxx-app/keyturn/internal/fault"
)

// A Contents is what is in a copy of the state.
type Contents struct {
	Size   int64  // bytes
	Rows   uint64 // of the audit record; all of them are intact
	Head   string // hash of the last row
	Sealed int    // encrypted values; they open only with STATE_KEY
}

// Backup makes a copy of the state at path, which from writes: [Store.Snapshot],
// or a running bot through its socket. It makes a new file with mode 0600,
// durable in its folder when Backup returns, and never overwrites one. The copy is
// opened and checked like at a restore; if its audit record is broken it is kept
// as evidence and the error says so (reason backup_broken).
func Backup(ctx context.Context, path string, from func(context.Context, io.Writer) error) (Contents, error) {
	// The name is taken at once, by an empty file, and filled by a rename: at no
	// instant is there a half of a backup under it.
	taken, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the file that the caller names
	if errors.Is(err, fs.ErrExist) {
		return Contents{}, &fault.Error{
			Kind: fault.Conflict, Reason: "file_exists", Op: "state.Backup", Err: err,
			User: path + " is there already, and no file is overwritten.", Fix: "Choose another name.",
		}
	}
	if err != nil {
		return Contents{}, backupError(path, err)
	}
	half := fmt.Sprintf("%s.%d.part", path, os.Getpid())
	err = errors.Join(taken.Close(), writeSynced(half, func(w io.Writer) error { return from(ctx, w) }))
	if err == nil {
		err = os.Rename(half, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return Contents{}, errors.Join(backupError(path, err), os.Remove(path))
	}
	return inspect(ctx, Config{Path: path, ReadOnly: true})
}

func backupError(path string, cause error) error {
	if f, ok := errors.AsType[*fault.Error](cause); ok {
		return f
	}
	return &fault.Error{
		Kind: fault.Internal, Reason: "backup_unwritten", Op: "state.Backup", Err: cause,
		User: "The backup " + path + " could not be written; there is none.",
		Fix:  "Check that its folder is there, writable and not full, then try again.",
	}
}

// inspect opens a copy and checks all that is in it.
func inspect(ctx context.Context, cfg Config) (Contents, error) {
	var c Contents
	info, err := os.Stat(cfg.Path)
	if err != nil {
		return c, openError(cfg.name(), err)
	}
	c.Size = info.Size()
	s, err := Open(ctx, cfg)
	if err != nil {
		return c, err
	}
	defer s.Close()
	report, err := Verify(ctx, s, nil)
	if errors.Is(err, ErrBroken) {
		err = &fault.Error{
			Kind: fault.Invalid, Reason: "backup_broken", Op: "state.inspect", Err: err,
			User: "The audit record in " + cfg.name() + " is broken, so this copy cannot be restored. " + fault.UserText(err),
			Fix:  "Keep it as evidence, go back to an earlier copy, and find out who could write to the file.",
		}
	}
	if err != nil {
		return c, err
	}
	c.Rows, c.Head = report.Rows, report.Head
	err = eachSealed(ctx, s, func(string, []byte) { c.Sealed++ })
	if err != nil {
		return c, fmt.Errorf("look for sealed values: %w", err)
	}
	return c, nil
}
