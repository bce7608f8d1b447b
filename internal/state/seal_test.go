package state

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state/statetest"
)

const (
	canaryID     = "PKCANARY7Q2W9E4R5T6Y"
	canarySecret = "canary/9sK3+vQ8xZ1mN4bC7lJ0hG5fD2aP6oI8uY3tR"
)

func canary() rotation.Pair {
	return rotation.Pair{KeyID: secret.New(canaryID), Secret: secret.New(canarySecret)}
}

var oldRef = rotation.Ref{Rotation: "r1", KeySet: "prod", Field: "old"}

// newIdentity returns an identity of the kind "x25519" or "hybrid", as bot init
// or age-keygen writes it, and the beginning of its public half.
func newIdentity(t testing.TB, kind string) (id, name string) {
	t.Helper()
	if kind == "x25519" {
		k, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		return k.String(), k.Recipient().String()[:nameLen]
	}
	text, recipient, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal(), recipient[:nameLen]
}

func load1(t testing.TB, s rotation.Store, identities ...string) *Sealer {
	t.Helper()
	sealer, err := LoadSealer(t.Context(), s, secret.New(strings.Join(identities, "\n")))
	if err != nil {
		t.Fatalf("LoadSealer = %v", err)
	}
	return sealer
}

func seal(t testing.TB, s *Sealer, ref rotation.Ref, p rotation.Pair) []byte {
	t.Helper()
	blob, err := s.Seal(ref, p)
	if err != nil {
		t.Fatalf("Seal = %v", err)
	}
	return blob
}

func TestR82SealAndOpen(t *testing.T) {
	for _, kind := range []string{"x25519", "hybrid"} {
		t.Run(kind, func(t *testing.T) {
			id, _ := newIdentity(t, kind)
			s := open(t, t.TempDir())
			sealer := load1(t, s, "# created: 2026-11-22", "# public key: age1…", "", "  "+id+"\r", "")
			for name, p := range map[string]rotation.Pair{
				"a pair":        canary(),
				"not even text": {KeyID: secret.New("\xff\x00\n\"<"), Secret: secret.New(strings.Repeat("é\xfe", 500))},
			} {
				blob := seal(t, sealer, oldRef, p)
				got, err := sealer.Open(oldRef, blob)
				if err != nil || !got.Equal(p) {
					t.Errorf("%s: opened = equal %t, %v", name, got.Equal(p), err)
				}
				if bytes.Equal(blob, seal(t, sealer, oldRef, p)) {
					t.Errorf("%s: sealed twice, the same blob", name)
				}
			}
			for name, bad := range map[string]rotation.Pair{"half": {KeyID: secret.New("PK")}, "none": {}} {
				if _, err := sealer.Seal(oldRef, bad); err == nil {
					t.Errorf("%s a pair was sealed", name)
				}
			}
			if _, err := sealer.Seal(rotation.Ref{Field: "print-key"}, canary()); err == nil {
				t.Error("a pair was sealed for no rotation")
			}
			if shown := fmt.Sprintf("%v %+v %#v", sealer, sealer, *sealer); strings.Contains(shown, "AGE-SECRET") {
				t.Errorf("a printed sealer shows its identity: %s", shown)
			}
		})
	}
}

// TestR82Swapped: a blob opens only where it belongs.
func TestR82Swapped(t *testing.T) {
	id, _ := newIdentity(t, "x25519")
	s := open(t, t.TempDir())
	sealer := load1(t, s, id)
	blob := seal(t, sealer, oldRef, canary())
	for _, other := range []rotation.Ref{
		{Rotation: "r2", KeySet: "prod", Field: "old"},
		{Rotation: "r1", KeySet: "staging", Field: "old"},
		{Rotation: "r1", KeySet: "prod", Field: "candidate/1"},
		{},
	} {
		got, err := sealer.Open(other, blob)
		if fault.ReasonOf(err) != "sealed_elsewhere" || !got.KeyID.Empty() || !got.Secret.Empty() {
			t.Errorf("Open(%v) = %v, want sealed_elsewhere and no pair", other, err)
		}
	}
	if _, err := sealer.Open(oldRef, get(t, s, printKeyRecord)); fault.ReasonOf(err) != "sealed_elsewhere" {
		t.Errorf("Open of the fingerprint key = %v, want sealed_elsewhere", err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "no newline": []byte(sealedMark), "clear text": []byte(canarySecret),
		"cut": blob[:len(blob)-1], "header only": blob[:len(sealedMark)+nameLen+1],
		"changed": append(bytes.Clone(blob[:len(blob)-1]), blob[len(blob)-1]^1),
	} {
		if _, err := sealer.Open(oldRef, bad); fault.ReasonOf(err) != "sealed_damaged" || strings.Contains(err.Error(), canarySecret) {
			t.Errorf("%s: Open = %v, want sealed_damaged", name, err)
		}
	}
}

func TestWrongIdentity(t *testing.T) {
	for _, kind := range []string{"x25519", "hybrid"} {
		first, name := newIdentity(t, kind)
		other, _ := newIdentity(t, kind)
		s := open(t, t.TempDir())
		blob := seal(t, load1(t, s, first), oldRef, canary())
		before := dump(t, s)

		_, err := LoadSealer(t.Context(), s, secret.New(other))
		refusal(t, "other identity", err, "state_key_wrong", name)
		if fault.KindOf(err) != fault.Denied {
			t.Errorf("kind = %v, want denied", fault.KindOf(err))
		}
		for _, none := range []string{"", "\n# AGE-SECRET-KEY-1\n"} {
			_, err = LoadSealer(t.Context(), s, secret.New(none))
			refusal(t, "no identity", err, "state_key_missing", name)
		}
		if got := dump(t, s); got != before {
			t.Error("a refused key changed the store")
		}
		// The fingerprint key opens, one pair does not.
		mustTxn(t, s, rotation.Op{Key: "sealed/r1/old", Value: blob})
		both := load1(t, s, other, first)
		if err := both.CheckAll(t.Context(), s, "sealed/"); err != nil {
			t.Errorf("CheckAll with both = %v", err)
		}
		refusal(t, "CheckAll", load1(t, s, other).CheckAll(t.Context(), s, "sealed/"), "state_key_wrong", name)
	}
}

func TestBadIdentityText(t *testing.T) {
	good, _ := newIdentity(t, "x25519")
	for name, bad := range map[string]string{
		"cut":       good[:len(good)-1],
		"quoted":    `"` + good + `"`,
		"recipient": "age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq",
		"two":       good + " " + good,
		"hybrid":    "AGE-SECRET-KEY-PQ-1" + good[len("AGE-SECRET-KEY-1"):],
	} {
		err := CheckIdentities(secret.New("# key\n" + bad))
		refusal(t, name, err, "state_key_invalid", "Line 2 ")
		if text := err.Error() + fault.UserText(err); strings.Contains(text, good[20:40]) {
			t.Errorf("%s: the error quotes the identity: %s", name, text)
		}
	}
	if err := CheckIdentities(secret.New(good)); err != nil {
		t.Errorf("CheckIdentities = %v", err)
	}
}

// TestRotateIdentity: a new first identity seals, the old one still opens, and
// fingerprints stay the same when it is gone.
func TestRotateIdentity(t *testing.T) {
	first, firstName := newIdentity(t, "x25519")
	second, secondName := newIdentity(t, "hybrid")
	s := open(t, t.TempDir())
	a := load1(t, s, first)
	old := seal(t, a, oldRef, canary())

	b := load1(t, s, second, first)
	if p, err := b.Open(oldRef, old); err != nil || !p.Equal(canary()) {
		t.Errorf("the second identity opens: %v", err)
	}
	now := seal(t, b, oldRef, canary())
	if sealedFor(old) != firstName || sealedFor(now) != secondName {
		t.Errorf("sealed for %s, then %s; want %s, then %s", sealedFor(old), sealedFor(now), firstName, secondName)
	}
	c := load1(t, s, second)
	if p, err := c.Open(oldRef, now); err != nil || !p.Equal(canary()) {
		t.Errorf("without the first identity: %v", err)
	}
	if a.Print(canary()) != c.Print(canary()) {
		t.Error("the fingerprint changed with the identity")
	}
}

func TestPrint(t *testing.T) {
	id, _ := newIdentity(t, "x25519")
	dir := t.TempDir()
	s := open(t, dir)
	p := load1(t, s, id).Print(canary())
	if _, err := hex.DecodeString(p); err != nil || len(p) != 12 {
		t.Errorf("Print = %q, want 12 hex digits", p)
	}
	_ = s.Close()
	s = open(t, dir)
	sealer := load1(t, s, id)
	if again := sealer.Print(canary()); again != p {
		t.Errorf("Print after a restart = %s, want %s", again, p)
	}
	for _, other := range []rotation.Pair{
		{KeyID: secret.New(canaryID + "c"), Secret: secret.New(canarySecret[1:])},
		{KeyID: secret.New(canarySecret), Secret: secret.New(canaryID)},
		{KeyID: secret.New(canaryID), Secret: secret.New(canarySecret + "x")},
	} {
		if sealer.Print(other) == p {
			t.Error("another pair has the same fingerprint")
		}
	}
	if elsewhere := load1(t, open(t, t.TempDir()), id).Print(canary()); elsewhere == p {
		t.Error("another state gives the same fingerprint: it is not keyed")
	}
}

// TestFirstStart: the fingerprint key is made once, whatever happens.
func TestFirstStart(t *testing.T) {
	id, _ := newIdentity(t, "x25519")
	for _, tt := range []struct {
		name string
		next []statetest.Outcome
		ok   bool
	}{
		{"conflict", []statetest.Outcome{statetest.Conflict}, true},
		{"lost before", []statetest.Outcome{statetest.Unwritten}, true},
		{"lost after", []statetest.Outcome{statetest.Written}, true},
		{"twice", []statetest.Outcome{statetest.Unwritten, statetest.Written}, true},
		{"disk", []statetest.Outcome{statetest.Broken}, false},
		{"always", []statetest.Outcome{statetest.Unwritten, statetest.Unwritten, statetest.Unwritten}, false},
	} {
		s := open(t, t.TempDir())
		flaky := statetest.NewFlaky(s)
		flaky.Next(tt.next...)
		sealer, err := LoadSealer(t.Context(), flaky, secret.New(id))
		if (err == nil) != tt.ok {
			t.Errorf("%s: LoadSealer = %v, want ok %t", tt.name, err, tt.ok)
			continue
		}
		if tt.ok && sealer.Print(canary()) != load1(t, s, id).Print(canary()) {
			t.Errorf("%s: the key in use is not the one that is stored", tt.name)
		}
		if !tt.ok && tt.name == "disk" && errors.Is(err, rotation.ErrUnknown) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// Reading only: a state with another first identity still opens.
	s := open(t, t.TempDir())
	want := load1(t, s, id).Print(canary())
	_ = s.Close()
	reader, err := Open(t.Context(), Config{Path: s.path, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	second, _ := newIdentity(t, "x25519")
	if got := load1(t, reader, second, id).Print(canary()); got != want {
		t.Errorf("Print of a reader = %s, want %s", got, want)
	}
}

// forms returns how a value could stand in a file.
func forms(value string) map[string]string {
	out := map[string]string{"raw": value, "hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value)))}
	for shift := range 3 { // base64 of a text that has the value inside, at each offset
		for name, enc := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.URLEncoding} {
			text := enc.EncodeToString([]byte(strings.Repeat("x", shift) + value))
			from, to := (shift*8+5)/6, (shift+len(value))*8/6
			out[fmt.Sprintf("%s+%d", name, shift)] = text[from:to]
		}
	}
	return out
}

func found(file []byte) []string {
	var hits []string
	for what, value := range map[string]string{"key ID": canaryID, "secret": canarySecret} {
		for form, text := range forms(value) {
			if bytes.Contains(file, []byte(text)) {
				hits = append(hits, what+" as "+form)
			}
		}
	}
	return hits
}

// TestR82NotInTheFile: neither the file, nor a copy, nor what a deleted record
// leaves behind holds a pair in clear.
func TestR82NotInTheFile(t *testing.T) {
	// First: the search finds what is there.
	for form, text := range forms(canarySecret) {
		if len(found([]byte("..."+text+"..."))) == 0 {
			t.Fatalf("the search does not find %s", form)
		}
	}
	if len(found([]byte(base64.StdEncoding.EncodeToString([]byte(`{"a":"`+canarySecret+`"}`))))) == 0 {
		t.Fatal("the search does not find base64 of JSON")
	}
	for _, kind := range []string{"x25519", "hybrid"} {
		id, _ := newIdentity(t, kind)
		s := open(t, t.TempDir())
		sealer := load1(t, s, id)
		for i := range 20 {
			ref := rotation.Ref{Rotation: rotation.ID(fmt.Sprintf("r%d", i)), KeySet: "prod", Field: "old"}
			mustTxn(t, s, rotation.Op{Key: "sealed/" + string(ref.Rotation), Value: seal(t, sealer, ref, canary())},
				rotation.Op{Key: "rotation/" + string(ref.Rotation), Value: []byte(sealer.Print(canary()))})
		}
		mustTxn(t, s, rotation.Op{Key: "sealed/r3", Delete: true})
		var copied bytes.Buffer
		if err := s.Snapshot(t.Context(), &copied); err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(s.path)
		if err != nil || !bytes.Contains(file, []byte(sealer.Print(canary()))) {
			t.Fatalf("the file does not even hold the fingerprint (%v)", err)
		}
		for what, b := range map[string][]byte{"file": file, "copy": copied.Bytes()} {
			if hits := found(b); len(hits) > 0 {
				t.Errorf("%s, %s: %s in it", kind, what, hits)
			}
			if bytes.Contains(b, []byte(id)) {
				t.Errorf("%s, %s: the identity is in it", kind, what)
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	id, _ := newIdentity(b, "hybrid")
	sealer := load1(b, open(b, b.TempDir()), id)
	for b.Loop() {
		blob := seal(b, sealer, oldRef, canary())
		if _, err := sealer.Open(oldRef, blob); err != nil {
			b.Fatal(err)
		}
	}
}
