package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A record is stored as revision (8 bytes, big endian), CRC-32C (4 bytes) of
// key, revision and value, value. bbolt's pages carry no checksum of their own.
const recordHead = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// room returns a record that holds value and has room for its head.
func room(value []byte) []byte {
	raw := make([]byte, recordHead+len(value))
	copy(raw[recordHead:], value)
	return raw
}

// stamp fills in the head of raw.
func stamp(key, raw []byte, rev uint64) {
	binary.BigEndian.PutUint64(raw, rev)
	binary.BigEndian.PutUint32(raw[8:], checksum(key, raw))
}

func checksum(key, raw []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, raw[:8])
	return crc32.Update(sum, castagnoli, raw[recordHead:])
}

// decode checks raw. The value still points into it.
func decode(key, raw []byte) (rotation.Rev, []byte, error) {
	if len(raw) < recordHead {
		return 0, nil, fmt.Errorf("too short: %w", errDamaged)
	}
	if binary.BigEndian.Uint32(raw[8:]) != checksum(key, raw) {
		return 0, nil, fmt.Errorf("checksum: %w", errDamaged)
	}
	return rotation.Rev(binary.BigEndian.Uint64(raw)), raw[recordHead:], nil
}

// kv copies a record out of the mapped file.
func kv(key, raw []byte) (rotation.KV, error) {
	rev, value, err := decode(key, raw)
	if err != nil {
		return rotation.KV{}, fmt.Errorf("record %q: %w", key, err)
	}
	return rotation.KV{Key: string(key), Value: bytes.Clone(value), Rev: rev}, nil
}
