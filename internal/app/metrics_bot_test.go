package app_test

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestMetricsOfABot: after a whole rotation a scrape says what happened, the bot
// is ready, and nothing on the page is secret.
func TestMetricsOfABot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	addr := w.serveHealth()
	bot := w.start()
	w.ada.begin("prod")
	w.ada.goOn(false)
	key := w.ada.generate()
	w.ada.finish(key)
	page := "" // the last scrape
	w.until("the completed rotation is counted", func() bool {
		_, page = fetch(t, "http://"+addr+"/metrics")
		return strings.Contains(page, `keyturn_rotations_total{keyset="prod",outcome="completed",trigger="scheduled"} 1`)
	})
	for _, want := range []string{
		`keyturn_rotation_exposed_seconds_count{keyset="prod"} 1`, `keyturn_rotation_step_duration_seconds_count{step="verify"} 1`, `keyturn_rotation_open{keyset="prod"} 0`,
		`keyturn_key_breached{keyset="prod"} 0`, `keyturn_source_up{source="history"} 1`, `keyturn_source_up{source="outbox"} 1`, `keyturn_slack_connected 1`,
		`keyturn_service_requests_total{service="heroku",status="200"}`, `keyturn_key_due_timestamp_seconds{keyset="prod"}`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, zero := range []string{"keyturn_slack_ack_duration_seconds_count 0\n", `keyturn_alpaca_probes_total{verdict="valid"} 0` + "\n"} {
		if strings.Contains(page, zero) {
			t.Errorf("/metrics says %q after a rotation", zero)
		}
	}
	for _, secret := range []string{key.ID, key.Secret, w.old["prod"].Secret, herokuToken, downstreamToken, w.slack.Config().BotToken} {
		if strings.Contains(page, secret) || strings.Contains(page, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Errorf("/metrics holds a secret: %s…", secret[:4])
		}
	}
	if code, text := fetch(t, "http://"+addr+"/readyz"); code != 200 {
		t.Errorf("GET /readyz = %d %q, want 200", code, text)
	}
	bot.stop()
}

// serveHealth has the bot answer for its health, and returns where.
func (w *world) serveHealth() (addr string) {
	w.t.Helper()
	free, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	w.must(err)
	addr = free.Addr().String()
	w.must(free.Close())
	text, err := os.ReadFile(w.settings())
	w.must(err)
	changed := strings.Replace(string(text), `listen: ""`, `listen: "`+addr+`"`, 1)
	if changed == string(text) {
		w.t.Fatal("the settings of the test have no http.listen")
	}
	w.must(os.WriteFile(w.settings(), []byte(changed), 0o600))
	return addr
}

// fetch gets a page.
func fetch(t *testing.T, url string) (int, string) {
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
