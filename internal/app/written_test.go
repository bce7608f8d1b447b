package app

import (
	"context"
	"errors"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A brittleStore fails each transaction with err.
type brittleStore struct {
	rotation.Store
	err error
}

func (s *brittleStore) Txn(context.Context, []rotation.Cond, []rotation.Op) (rotation.Rev, error) {
	return 1, s.err
}

// TestWritten: only a transaction that could not be written makes the bot
// unready, and the next one that can makes it ready again.
func TestWritten(t *testing.T) {
	t.Parallel()
	full := &fault.Error{Kind: fault.Internal, Reason: "state_disk_full"}
	put := []rotation.Op{{Key: "a", Value: []byte("b")}}
	tests := []struct {
		name string
		err  error // of the transaction
		then error // of the probe
		want bool  // writable
	}{
		{"written", nil, full, true},
		{"conflict", rotation.ErrConflict, full, true},
		{"busy", &fault.Error{Kind: fault.Transient, Reason: "state_busy"}, full, true},
		{"disk full", full, full, false},
		{"disk was full", full, nil, true},
		{"unknown", rotation.ErrUnknown, errors.New("broken"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := &brittleStore{err: tt.err}
			s := &writtenStore{Store: disk}
			if _, err := s.Txn(t.Context(), nil, put); !errors.Is(err, tt.err) {
				t.Fatalf("Txn = %v, want %v", err, tt.err)
			}
			disk.err = tt.then
			if err := s.writable(t.Context()); (err == nil) != tt.want {
				t.Errorf("writable = %v after %v and then %v, want ok: %t", err, tt.err, tt.then, tt.want)
			}
		})
	}
}
