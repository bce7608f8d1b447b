package simtest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// TestAnswer: every call gets the answer, and what was read of it is counted.
func TestAnswer(t *testing.T) {
	a := &simtest.Answer{Status: 418, Header: http.Header{"content-type": {"text/html"}}, Body: []byte("tea"), Rest: 7}
	for n := int64(1); n < 3; n++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nobody.invalid/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: a}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 418 || string(body) != "tea       " || resp.Header.Get("Content-Type") != "text/html" || resp.Header.Get("Date") == "" {
			t.Errorf("answer = %d %q %v, %v, want 418, tea and seven blanks", resp.StatusCode, body, resp.Header, err)
		}
		if got := a.Read(); got != 10*n {
			t.Errorf("%d bytes were read after %d calls, want %d", got, n, 10*n)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestQuoted: a quotation is found, and a word of ours is none.
func TestQuoted(t *testing.T) {
	body := []byte(`{"message":"got Zx9QmW3vKb7TnY5rLc2 twice","configuration":"unavailable"}`)
	for text, want := range map[string]bool{
		"Heroku said: got Zx9QmW3vKb7TnY5rLc2": true, "x9QmW3vKb7TnY5rLc2 twice": true, "": false, "Heroku is unavailable; check its configuration.": false,
	} {
		if got := simtest.Quoted(body, "nothing", text); (got != "") != want {
			t.Errorf("Quoted(%q) = %q, want something: %t", text, got, want)
		}
	}
}

// TestRecordings: each service's recordings hold answers, good ones and bad ones.
func TestRecordings(t *testing.T) {
	t.Chdir("..") // two folders below the root, as the clients are
	for _, service := range []string{"alpaca", "heroku", "github", "infisical"} {
		good, bad := 0, 0
		for _, r := range simtest.Recordings(t, service) {
			if r.Status/100 == 2 && len(r.Body) > 0 {
				good++
			} else if r.Status >= 400 {
				bad++
			}
		}
		if good == 0 || bad == 0 && service != "github" {
			t.Errorf("%s: %d good answers and %d bad ones, want some of each", service, good, bad)
		}
	}
}
