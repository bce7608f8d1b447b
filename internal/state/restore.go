package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A Restored is what a restore did.
type Restored struct {
	Contents

	Aside string // where the state that was there before is now; "" if there was none
	Shut  []Shut // sealed values that the identities do not open
}

// Restore puts the copy at from in the place of the state at path. It refuses
// while any process has the state open (reason state_locked), a file that is no
// state or a damaged one (state_foreign, state_missing, state_damaged,
// state_newer), and one whose audit record is broken (backup_broken); nothing is
// changed then. The state that was there is kept under another name: at every
// instant either is whole under path. A copy of an earlier format is brought
// forward. If root restores, the file belongs to the user whose the state was, or
// whose its folder is.
//
// Values that identities (the text of STATE_KEY) do not open do not stop it: the
// right key may be found later. Restoring the same copy again is harmless.
func Restore(ctx context.Context, from, path string, identities secret.Text, now time.Time) (Restored, error) {
	var r Restored
	if err := makeDir(filepath.Dir(path)); err != nil {
		return r, openError(path, err)
	}
	half, err := fetch(from, path)
	if err != nil {
		return r, err
	}
	defer os.Remove(half) // unless it was renamed
	scratch := Config{Path: half, scratch: from}
	if err := bringForward(ctx, scratch); err != nil {
		return r, err
	}
	scratch.ReadOnly = true
	if r.Contents, err = inspect(ctx, scratch); err != nil {
		return r, err
	}
	if r.Shut, err = shutIn(ctx, scratch, identities); err != nil {
		return r, err
	}
	if err := giveTo(half, path); err != nil {
		return r, unwrittenError(path, err)
	}
	r.Aside, err = swap(half, path, now)
	return r, err
}

// fetch copies from into a new file beside path, and syncs it.
func fetch(from, path string) (string, error) {
	in, err := os.Open(from) //nolint:gosec // the file that the caller names
	if errors.Is(err, fs.ErrNotExist) {
		return "", &fault.Error{Kind: fault.NotFound, Reason: "state_missing", Op: "state.Restore", Err: err, User: "There is no file " + from + ".", Fix: "Check the name of the backup."}
	}
	if err != nil {
		return "", openError(from, err)
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return "", openError(from, err)
	case !info.Mode().IsRegular(), info.Size() < minSize:
		return "", foreignError(from, fmt.Errorf("only %d bytes", info.Size()))
	case same(in, path):
		return "", &fault.Error{Kind: fault.Invalid, Reason: "state_itself", Op: "state.Restore", User: from + " is the state itself, not a copy of it.", Fix: "Name the backup."}
	}
	if err := syscall.Flock(int(in.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return "", lockedError(from) // another bot is writing to it
	}
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".restore-*") // mode 0600
	if err != nil {
		return "", openError(path, err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(unwrittenError(path, err), os.Remove(out.Name()))
	}
	return out.Name(), nil
}

// bringForward migrates a copy of an earlier format.
func bringForward(ctx context.Context, cfg Config) error {
	looked := cfg
	looked.ReadOnly = true
	s, err := Open(ctx, looked) // creates nothing, whatever the file is
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return err
	}
	if s, err = Open(ctx, cfg); err != nil {
		return err
	}
	return s.Close()
}

// shutIn is Shuts for a file.
func shutIn(ctx context.Context, cfg Config, identities secret.Text) ([]Shut, error) {
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return Shuts(ctx, s, identities)
}

// swap puts half in the place of path, which nobody may have open, and returns
// where the file is that was there.
func swap(half, path string, now time.Time) (aside string, err error) {
	was, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the configured file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", putFirst(half, path)
	case err != nil:
		return "", openError(path, err)
	default:
		defer was.Close() // and with it the lock
		if err := syscall.Flock(int(was.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return "", runningError(path)
		}
		if !same(was, path) {
			return "", runningError(path) // another restore, this instant
		}
		if aside, err = setAside(path, now); err != nil {
			return "", unwrittenError(path, err)
		}
	}
	if err := os.Rename(half, path); err != nil {
		return aside, unwrittenError(path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return aside, unsureError(path, err)
	}
	return aside, nil
}

// putFirst puts half where there was no state. A bot that starts in this instant
// makes one: that is not taken from under it.
func putFirst(half, path string) error {
	err := os.Link(half, path) // unlike a rename it replaces nothing
	switch {
	case errors.Is(err, fs.ErrExist):
		return runningError(path)
	case err != nil: // a disk without links
		err = os.Rename(half, path)
	}
	if err != nil {
		return unwrittenError(path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return unsureError(path, err)
	}
	return nil
}

// GiveTo gives an open file to the user whose the file or folder at path is, or, if
// there is none, whose its folder is: what root makes beside the state must not
// keep the bot, which is another user, out. Others than root give nothing away.
func GiveTo(f *os.File, path string) error { return give(path, f.Chown) }

// giveTo is GiveTo for a file that is closed.
func giveTo(name, path string) error {
	return give(path, func(uid, gid int) error { return os.Lchown(name, uid, gid) })
}

func give(path string, chown func(uid, gid int) error) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("look whose the state is: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 && st.Gid == 0 {
		return nil
	}
	return chown(int(st.Uid), int(st.Gid))
}

func runningError(path string) error {
	who := "Another process"
	if pid := Holder(path); pid != 0 {
		who = fmt.Sprintf("A bot (pid %d)", pid)
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "state_locked", Op: "state.Restore",
		User: who + " has " + path + " open, so nothing was restored.",
		Fix:  "Stop it, restore, and start it again.",
	}
}

// setAside gives the file at path a second name, so that it is never without
// one; where that cannot be done it is renamed.
func setAside(path string, now time.Time) (string, error) {
	base := path + ".before-restore-" + now.UTC().Format("20060102T150405Z")
	for n := 1; n < 100; n++ {
		aside := base
		if n > 1 {
			aside = fmt.Sprintf("%s-%d", base, n)
		}
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		err := os.Link(path, aside)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			err = os.Rename(path, aside)
		}
		return aside, err
	}
	return "", errors.New("too many files of that name")
}

// A Shut is a sealed value that no identity at hand opens.
type Shut struct {
	Key      string // of the record
	Identity string // how the public key that it was sealed for begins; "": it is damaged
}

// Shuts returns the sealed values in store that identities do not open; an empty
// text opens none. A text that is no list of identities is an error (reason
// state_key_invalid).
func Shuts(ctx context.Context, store rotation.Store, identities secret.Text) ([]Shut, error) {
	ids, err := parseIdentities(identities)
	if err != nil && fault.ReasonOf(err) != "state_key_missing" {
		return nil, err
	}
	sealer := &Sealer{identities: ids}
	var shut []Shut
	err = eachSealed(ctx, store, func(key string, sealed []byte) {
		plain, err := sealer.decrypt(sealed)
		clear(plain)
		if err != nil || len(ids) == 0 {
			shut = append(shut, Shut{Key: key, Identity: sealedFor(sealed)})
		}
	})
	return shut, err
}

// Identities returns the identities that are needed to open what is shut, each
// once.
func Identities(shut []Shut) []string {
	var names []string
	for _, s := range shut {
		if s.Identity != "" && !slices.Contains(names, s.Identity) {
			names = append(names, s.Identity)
		}
	}
	return names
}

// eachSealed calls f with every sealed value, in the order of the keys.
func eachSealed(ctx context.Context, store rotation.Store, f func(key string, sealed []byte)) error {
	for after := ""; ; {
		page, err := store.List(ctx, "", after, auditPage)
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		for _, kv := range page {
			after = kv.Key
			if bytes.HasPrefix(kv.Value, []byte(sealedMark)) {
				f(kv.Key, kv.Value)
			}
		}
		if len(page) < auditPage {
			return nil
		}
	}
}
