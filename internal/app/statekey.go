package app

import (
	"fmt"
	"os"

	"github.com/raxx-app/keyturn/internal/state"
)

// WriteStateKey makes a new identity for STATE_KEY and writes it to path, which
// must not exist yet, with mode 0600. Nothing prints it.
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
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write state key: %w", err)
	}
	return nil
}
