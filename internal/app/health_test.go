package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/state"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	store, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "keyturn.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	up := false
	h := &health{store: &writtenStore{Store: store}, connected: func() bool { return up }, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := h.listen(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()

	check := func(path string, wantCode int, wantText string) {
		t.Helper()
		code, text := get(t, "http://"+h.ln.Addr().String()+path)
		if code != wantCode || !strings.Contains(text, wantText) {
			t.Errorf("GET %s = %d %q, want %d with %q", path, code, text, wantCode, wantText)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 503, "no Slack socket")
	up = true
	check("/readyz", 200, "ok")
	check("/metrics", 404, "")
	check("/", 404, "")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	check("/readyz", 503, "state cannot be read")
	check("/healthz", 200, "ok")

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run = %v after its context ended, want nil", err)
	}
}

func TestHealthListen(t *testing.T) {
	t.Parallel()
	taken := &health{}
	if err := taken.listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer taken.ln.Close()
	tests := []struct{ name, addr, want string }{
		{"off", "", ""},
		{"every address", ":9464", "listen_not_loopback"},
		{"every address by number", "0.0.0.0:9464", "listen_not_loopback"},
		{"of the network", "192.0.2.1:9464", "listen_not_loopback"},
		{"a name that may move", "keyturn.internal:9464", "listen_not_loopback"},
		{"taken", taken.ln.Addr().String(), "listen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &health{}
			err := h.listen(t.Context(), tt.addr)
			if h.ln != nil {
				h.ln.Close()
			}
			if tt.want == "" {
				if err != nil || h.ln != nil {
					t.Errorf("listen(%q) = %v, %v, want nothing", tt.addr, err, h.ln)
				}
				return
			}
			if got := fault.ReasonOf(err); err == nil || got != tt.want {
				t.Errorf("listen(%q) = %v with reason %q, want %q", tt.addr, err, got, tt.want)
			}
		})
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
