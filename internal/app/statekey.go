package app

import (
	"errors"
	"fmt"
	"os"

	"github.com/raxx-app/keyturn/internal/state"
)

// WriteStateKey makes a new identity for STATE_KEY and writes it to path, which
// must not exist yet, with mode 0600. Nothing prints it. A half of one is not left
// behind.
func WriteStateKey(path string) error {
	identity, recipient, err := state.GenerateIdentity()
	if err != nil {
		return fmt.Errorf("make state key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("create state key: %w", err)
	}
	//nolint:forbidigo // the file is the key's destination
	_, err = fmt.Fprintf(f, "# public key: %s\n%s\n", recipient, identity.Reveal())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write state key: %w", err), os.Remove(path))
	}
	return nil
}
