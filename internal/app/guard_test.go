package app

import (
	"io"
	"net/http"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// TestGuarded: a redirect is a fault, and an answer ends.
func TestGuarded(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "", 301: "redirected", 302: "redirected", 303: "redirected", 307: "redirected", 308: "redirected", 429: "", 500: ""} {
		answer := &simtest.Answer{Status: status, Header: http.Header{"Location": {"https://elsewhere.invalid/"}}, Body: []byte("{"), Rest: 2 * answerMax}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://slack.invalid/api/chat.postMessage", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: guarded{answer}}).Do(req)
		if err != nil || want != "" {
			if fault.ReasonOf(err) != want || fault.KindOf(err) != fault.Transient {
				t.Errorf("status %d: %v, want a transient fault with reason %q", status, err, want)
			}
			continue
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != answerMax || err != nil {
			t.Errorf("status %d: %d bytes, %v, want %d", status, n, err, answerMax)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}
