package alpacasim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// Alphabets of what Alpaca makes, as far as public samples show.
const (
	base32Set = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base58Set = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	numberSet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// random returns n characters of set.
func random(n int, set string) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = set[int(b[i])%len(set)]
	}
	return string(b)
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newRequestID returns 32 hex digits, as X-Request-ID has them.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newKey returns a pair in the form of 2025 and later: a key ID of 26
// characters that starts with PK, a secret of 44.
func newKey() Key {
	return Key{ID: "PK" + random(24, base32Set), Secret: random(44, base58Set)}
}

// newNumber returns a paper account number: PA3 and nine characters.
func newNumber() string { return "PA3" + random(9, numberSet) }
