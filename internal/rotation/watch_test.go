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
	e := &Engine{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}}
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
		told = e.tellOnce(t.Context(), told, tt.err)
		if got := strings.Count(log.String(), "old pair cannot be watched"); got != tt.want {
			t.Errorf("after %v: %d lines, want %d", tt.err, got, tt.want)
		}
	}
}
