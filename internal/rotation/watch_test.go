package rotation

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestWatchTellsOnce: while the state stays damaged the log says so once, and
// again when it was well in between or the reason is another.
func TestWatchTellsOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	out := slog.New(slog.NewTextHandler(&log, nil))
	told := ""
	for _, tt := range []struct {
		err  error
		want int // lines so far
	}{
		{nil, 0},
		{errors.New("page 16 is damaged"), 1},
		{errors.New("page 16 is damaged"), 1},
		{errors.New("page 17 is damaged"), 2},
		{nil, 2},
		{errors.New("page 17 is damaged"), 3},
		{errOver, 3},
		{errors.New("page 17 is damaged"), 4},
	} {
		told = tellOnce(t.Context(), out, told, tt.err)
		if got := strings.Count(log.String(), "old pair cannot be watched"); got != tt.want {
			t.Errorf("after %v: %d lines, want %d", tt.err, got, tt.want)
		}
	}
}

// TestStepThatCannotBeginTellsOnce: the same for a step that is tried again each
// second; another step, or having begun, makes it news again.
func TestStepThatCannotBeginTellsOnce(t *testing.T) {
	t.Parallel()
	r := newRun(nil, nil, Rotation{}, nil, slog.New(slog.DiscardHandler))
	for i, tt := range []struct {
		step StepName
		err  error
		want bool
	}{
		{StepStore, errors.New("page 16 is damaged"), true},
		{StepStore, errors.New("page 16 is damaged"), false},
		{StepVerify, errors.New("page 16 is damaged"), true},
		{StepStore, errors.New("page 17 is damaged"), true},
		{StepStore, nil, false},
		{StepStore, errors.New("page 17 is damaged"), true},
		{StepVerify, errors.New("page 16 is damaged"), false},
	} {
		if got := r.news(tt.step, tt.err); got != tt.want {
			t.Errorf("%d: news(%s, %v) = %t, want %t", i, tt.step, tt.err, got, tt.want)
		}
	}
}
