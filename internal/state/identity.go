package state

import (
	"context"
	"fmt"
	"strings"

	"filippo.io/age"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// An identity is one line of STATE_KEY. Its name is the beginning of its public
// half, enough to find it in the comments that age-keygen writes.
type identity struct {
	age.Identity

	recipient age.Recipient
	name      string
}

// GenerateIdentity makes a new identity for STATE_KEY, of the kind that also
// withstands a quantum computer, and its public half. A sealed pair grows to
// about 2 kB with it.
func GenerateIdentity() (identity secret.Text, recipient string, err error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return secret.Text{}, "", fmt.Errorf("make age identity: %w", err)
	}
	return secret.New(id.String()), id.Recipient().String(), nil
}

// CheckIdentities reports whether the text of STATE_KEY can be used, without a
// store. Its error is that of [LoadSealer].
func CheckIdentities(identities secret.Text) error {
	_, err := parseIdentities(identities)
	return err
}

// parseIdentities reads STATE_KEY. The library's errors are dropped: they can
// quote parts of the line.
func parseIdentities(text secret.Text) ([]identity, error) {
	var found []identity
	n := 0
	for s := range strings.Lines(text.Reveal()) {
		n++
		s = strings.TrimSpace(s)
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		id, ok := parseIdentity(s)
		if !ok {
			return nil, &fault.Error{
				Kind: fault.Invalid, Reason: "state_key_invalid", Op: "state.LoadSealer",
				User: fmt.Sprintf("Line %d of STATE_KEY is not an age identity.", n),
				Fix:  "Each line must be one that age-keygen wrote: AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…, whole and without quotes.",
			}
		}
		found = append(found, id)
	}
	if len(found) == 0 {
		return nil, &fault.Error{
			Kind: fault.Denied, Reason: "state_key_missing", Op: "state.LoadSealer",
			User: "STATE_KEY holds no age identity, so nothing can be sealed or opened.",
			Fix:  "Set STATE_KEY, or STATE_KEY_FILE to the file state.key that bot init wrote.",
		}
	}
	return found, nil
}

func parseIdentity(s string) (identity, bool) {
	if strings.HasPrefix(s, "AGE-SECRET-KEY-PQ-1") {
		id, err := age.ParseHybridIdentity(s)
		if err != nil {
			return identity{}, false
		}
		return identity{Identity: id, recipient: id.Recipient(), name: id.Recipient().String()[:nameLen]}, true
	}
	id, err := age.ParseX25519Identity(s)
	if err != nil {
		return identity{}, false
	}
	return identity{Identity: id, recipient: id.Recipient(), name: id.Recipient().String()[:nameLen]}, true
}

// missingKey adds to err which identity the store was sealed for, if any.
func missingKey(ctx context.Context, store rotation.Store, err error) error {
	if fault.ReasonOf(err) != "state_key_missing" {
		return err
	}
	kv, getErr := store.Get(ctx, printKeyRecord)
	if getErr != nil || sealedFor(kv.Value) == "" {
		return err
	}
	return &fault.Error{
		Kind: fault.Denied, Reason: "state_key_missing", Op: "state.LoadSealer",
		User: "STATE_KEY holds no age identity, but this state was sealed for the one whose public key starts with " + sealedFor(kv.Value) + ".",
		Fix:  "Set STATE_KEY, or STATE_KEY_FILE to the file state.key that this state was made with.",
	}
}

func wrongKey(name string) error {
	return &fault.Error{
		Kind: fault.Denied, Reason: "state_key_wrong", Op: "state.Sealer",
		User: "No identity in STATE_KEY opens what is sealed in the state. It was sealed for the one whose public key starts with " + name + ".",
		Fix:  "Add that identity to STATE_KEY as a second line; the first line seals, all of them open.",
	}
}
