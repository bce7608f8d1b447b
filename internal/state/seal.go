package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	printKeyRecord = "meta/print-key"    // the sealed key of Print
	printKeySize   = 32                  // bytes
	sealedMark     = "keyturn-sealed-1 " // starts a sealed blob, then the identity's name and a newline
	sealedLimit    = 64 << 10            // bytes; a pair is far below
	nameLen        = 24                  // of a recipient's text that is its name
)

// A Sealer implements [rotation.Sealer] with age: the first identity of
// STATE_KEY seals, every one opens. It may be used from any goroutine.
type Sealer struct {
	identities []identity
	print      func(rotation.Pair) string // a closure, so that nothing can print the key
}

var _ rotation.Sealer = (*Sealer)(nil)

// LoadSealer returns the sealer for store. At the first start it makes the key
// of Print, seals it and stores it; if the first identity is a new one it seals
// that key again. identities is the text of STATE_KEY: one age identity a line,
// of either kind that age-keygen makes; lines that start with # are comments.
//
// It returns a [*fault.Error] of kind Denied with the reason state_key_missing
// or state_key_wrong, naming the identity that is needed, if what is stored
// cannot be opened, and Invalid with state_key_invalid for a text that is no
// identity.
func LoadSealer(ctx context.Context, store rotation.Store, identities secret.Text) (*Sealer, error) {
	ids, err := parseIdentities(identities)
	if err != nil {
		return nil, missingKey(ctx, store, err)
	}
	s := &Sealer{identities: ids}
	for range 3 { // a conflict or an unknown outcome: read back
		var key []byte
		key, err = s.loadPrintKey(ctx, store)
		if err == nil {
			s.print = func(p rotation.Pair) string {
				return secret.New(p.KeyID.Reveal() + "\x00" + p.Secret.Reveal()).Fingerprint(key)
			}
			return s, nil
		}
		if !errors.Is(err, rotation.ErrConflict) && !errors.Is(err, rotation.ErrUnknown) {
			break
		}
	}
	return nil, err
}

// loadPrintKey reads the key, or makes it.
func (s *Sealer) loadPrintKey(ctx context.Context, store rotation.Store) ([]byte, error) {
	ref := rotation.Ref{Field: "print-key"}
	kv, err := store.Get(ctx, printKeyRecord)
	if errors.Is(err, rotation.ErrNotFound) {
		key := make([]byte, printKeySize)
		_, _ = rand.Read(key) // never fails
		return key, s.putPrintKey(ctx, store, ref, key, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("read fingerprint key: %w", err)
	}
	_, key, err := s.unseal(ref, kv.Value)
	if err != nil {
		return nil, fmt.Errorf("open fingerprint key: %w", err)
	}
	if len(key) != printKeySize {
		return nil, sealError("sealed_damaged", "The fingerprint key in the state is damaged.", nil)
	}
	if sealedFor(kv.Value) == s.identities[0].name {
		return key, nil
	}
	err = s.putPrintKey(ctx, store, ref, key, kv.Rev)
	if fault.ReasonOf(err) == "state_read_only" {
		err = nil // the old identity still opens it
	}
	return key, err
}

func (s *Sealer) putPrintKey(ctx context.Context, store rotation.Store, ref rotation.Ref, key []byte, rev rotation.Rev) error {
	blob, err := s.seal(ref, nil, key)
	if err != nil {
		return err
	}
	_, err = store.Txn(ctx, []rotation.Cond{{Key: printKeyRecord, Rev: rev}}, []rotation.Op{{Key: printKeyRecord, Value: blob}})
	if err != nil {
		return fmt.Errorf("store fingerprint key: %w", err)
	}
	return nil
}

// Seal implements [rotation.Sealer]. Sealing the same pair twice gives two
// different blobs. All of ref must be set, and the pair be whole.
func (s *Sealer) Seal(ref rotation.Ref, p rotation.Pair) ([]byte, error) {
	if ref.Rotation == "" || ref.KeySet == "" || ref.Field == "" || p.Empty() {
		return nil, sealError("bad_seal", "A pair without a place it belongs to, or half a pair, is not stored.", nil)
	}
	keyID, key := []byte(p.KeyID.Reveal()), []byte(p.Secret.Reveal())
	defer clear(keyID)
	defer clear(key)
	return s.seal(ref, keyID, key)
}

// Open implements [rotation.Sealer]. It returns a [*fault.Error]: Denied with
// the reason state_key_wrong, naming the identity that is needed, or Internal
// with sealed_elsewhere (the blob belongs to another ref) or sealed_damaged.
func (s *Sealer) Open(ref rotation.Ref, sealed []byte) (rotation.Pair, error) {
	keyID, key, err := s.unseal(ref, sealed)
	if err != nil {
		return rotation.Pair{}, err
	}
	defer clear(keyID)
	defer clear(key)
	return rotation.Pair{KeyID: secret.New(string(keyID)), Secret: secret.New(string(key))}, nil
}

// Print implements [rotation.Sealer]: 12 hex digits of HMAC-SHA256 over key ID,
// NUL and secret key.
func (s *Sealer) Print(p rotation.Pair) string { return s.print(p) }

// CheckAll tries to open every blob whose key starts with prefix, and returns
// an error like that of [Sealer.Open] for the first that cannot be. Call it at
// the start, so that a wrong STATE_KEY is not found out in mid-rotation.
func (s *Sealer) CheckAll(ctx context.Context, store rotation.Store, prefix string) error {
	blobs, err := store.List(ctx, prefix, "", 0)
	if err != nil {
		return fmt.Errorf("list sealed pairs: %w", err)
	}
	for _, kv := range blobs {
		plain, err := s.decrypt(kv.Value)
		clear(plain)
		if err != nil {
			return fmt.Errorf("open %s: %w", kv.Key, err)
		}
	}
	return nil
}

// A plaintext is what is encrypted. age binds no context to a file, so the
// place that the value belongs to is sealed with it. The halves are base64 in
// the JSON: they come back byte for byte, and can be cleared.
type plaintext struct {
	V        int    `json:"v"`
	Rotation string `json:"rotation"`
	KeySet   string `json:"keyset"`
	Field    string `json:"field"`
	KeyID    []byte `json:"key_id"`
	Secret   []byte `json:"secret"`
}

func (s *Sealer) seal(ref rotation.Ref, keyID, key []byte) ([]byte, error) {
	//nolint:gosec // G117: it is encrypted below and cleared; only the sealed form leaves
	plain, err := json.Marshal(plaintext{V: 1, Rotation: string(ref.Rotation), KeySet: ref.KeySet, Field: ref.Field, KeyID: keyID, Secret: key})
	if err != nil {
		return nil, sealError("bad_seal", "The pair cannot be encoded.", nil) // the cause could quote it
	}
	defer clear(plain)
	first := s.identities[0]
	var blob bytes.Buffer
	blob.WriteString(sealedMark + first.name + "\n")
	w, err := age.Encrypt(&blob, first.recipient)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, sealError("bad_seal", "The pair cannot be encrypted.", err)
	}
	return blob.Bytes(), nil
}

// unseal opens a blob and compares the place it was sealed for.
func (s *Sealer) unseal(ref rotation.Ref, sealed []byte) (keyID, key []byte, err error) {
	plain, err := s.decrypt(sealed)
	if err != nil {
		return nil, nil, err
	}
	defer clear(plain)
	var in plaintext
	if err := json.Unmarshal(plain, &in); err != nil || in.V != 1 {
		return nil, nil, sealError("sealed_damaged", "A sealed pair in the state has a form that this program does not know.", nil)
	}
	if got := (rotation.Ref{Rotation: rotation.ID(in.Rotation), KeySet: in.KeySet, Field: in.Field}); got != ref {
		clear(in.KeyID)
		clear(in.Secret)
		return nil, nil, sealError("sealed_elsewhere", "A sealed pair in the state belongs to another place, so it is not used.",
			fmt.Errorf("sealed for %s of %s in %s, opened for %s of %s in %s", got.Field, got.Rotation, got.KeySet, ref.Field, ref.Rotation, ref.KeySet))
	}
	return in.KeyID, in.Secret, nil
}

// decrypt opens a blob with whichever identity fits.
func (s *Sealer) decrypt(sealed []byte) ([]byte, error) {
	_, body, ok := bytes.Cut(sealed, []byte{'\n'})
	if sealedFor(sealed) == "" || !ok {
		return nil, sealError("sealed_damaged", "What is stored as a sealed pair is none.", nil)
	}
	all := make([]age.Identity, len(s.identities))
	for i := range s.identities {
		all[i] = s.identities[i].Identity
	}
	r, err := age.Decrypt(bytes.NewReader(body), all...)
	if _, no := errors.AsType[*age.NoIdentityMatchError](err); no {
		return nil, wrongKey(sealedFor(sealed))
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(r, sealedLimit))
	}
	if err != nil {
		clear(plain)
		return nil, sealError("sealed_damaged", "A sealed pair in the state is damaged.", err)
	}
	return plain, nil
}

// sealedFor returns the name of the identity that a blob is sealed for, or "".
func sealedFor(sealed []byte) string {
	first, _, _ := bytes.Cut(sealed[:min(len(sealed), len(sealedMark)+nameLen+1)], []byte{'\n'})
	name, ok := strings.CutPrefix(string(first), sealedMark)
	if !ok {
		return ""
	}
	return name
}

func sealError(reason, user string, cause error) error {
	return &fault.Error{Kind: fault.Internal, Reason: reason, Op: "state.Sealer", User: user, Fix: restoreFix, Err: cause}
}
