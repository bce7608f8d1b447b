package infisical

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// R43: no value and no credential is in an error, in what people read, or in
// what the SDK and its HTTP library print to stderr by themselves.
func TestNothingLeaks(t *testing.T) {
	stderr := capture(t) // before a client is made: its logger keeps the file
	const clientSecret, keyID, secretKey, stored = "CANARY-client-secret", "CANARYKEYID000000001", "CANARYsecretkeyCANARYsecretkey0000000001", "CANARYSTOREDVALUE"
	tokens := &tokenSpy{next: &http.Transport{}}
	w := newWorld(t, func(i *infisicalsim.Identity, c *Config, _ *Place) {
		i.ClientSecret, c.ClientSecret = clientSecret, secret.New(clientSecret)
		c.Transport = tokens
	})
	w.sim.Put(projectID, "prod", "/", keyName, stored)
	w.ready(t)
	echo := `{"statusCode":400,"message":"Secret ` + keyID + ` ` + secretKey + ` ` + clientSecret + `","error":"` + stored + `","reqId":"` + stored + ` ` + secretKey + `"}`

	var texts []string
	note := func(err error) {
		if err == nil {
			t.Error("a call that should fail did not")
			return
		}
		texts = append(texts, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fault.UserText(err), fault.FixText(err))
		for e := err; e != nil; e = errors.Unwrap(e) {
			texts = append(texts, e.Error())
		}
	}
	for _, f := range []simhttp.Fault{
		{Cut: true},
		{HangReply: true},
		{Status: 400, Body: echo},
		{Status: 401, Body: echo},
		{Status: 403, Body: echo},
		{Status: 404, Body: echo},
		{Status: 422, Body: echo},
		{Status: 429, Body: echo},
		{Status: 500, Body: echo},
		{Status: 200, Body: "<p>" + echo},
		{Status: 200, Body: `{"secrets":"` + secretKey},
	} {
		f.Header = http.Header{"Content-Type": {"application/json"}}
		off := w.sim.Inject(f)
		w.patience(defaultTimeout)
		if f.HangReply {
			w.patience(soon)
		}
		_, err := w.vault.Read(t.Context())
		note(err)
		note(w.vault.Write(t.Context(), pair(keyID, secretKey), true))
		texts = append(texts, fmt.Sprintf("%+v", w.vault.Ready(t.Context())))
		off()
		w.clock.move(time.Hour)
	}
	if err := w.sim.Close(); err != nil {
		t.Error(err)
	}
	_, err := w.vault.Read(t.Context())
	note(err)
	note(w.vault.Write(t.Context(), pair(keyID, secretKey), true))
	texts = append(texts, fmt.Sprintf("%+v %#v %+v", w.vault, w.vault, w.cfg), stderr())

	for _, canary := range append(tokens.all(), clientSecret, keyID, secretKey, stored) {
		for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), canary[:len(canary)/2]} {
			for _, text := range texts {
				if strings.Contains(text, form) {
					t.Errorf("a secret is in %q", text)
				}
			}
		}
	}
	if got := texts[len(texts)-1]; strings.Contains(got, "RESTY") {
		t.Errorf("stderr = %q, want nothing of the SDK's HTTP library", got)
	}
	if len(tokens.all()) == 0 {
		t.Error("no access token was seen, so none was searched for")
	}
	for _, text := range texts {
		if strings.Contains(text, "workspaceId=") {
			t.Errorf("a URL with its query is in %q", text)
		}
	}
}

// What goes over the wire is the pair, and only in the body.
func TestPairTravelsInTheBodyOnly(t *testing.T) {
	spy := &tokenSpy{next: &http.Transport{}}
	w := newWorld(t, func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.Transport = spy }).ready(t)
	if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); err != nil {
		t.Fatal(err)
	}
	var sent batch
	if err := json.Unmarshal(spy.body, &sent); err != nil {
		t.Fatalf("body: %v", err)
	}
	if len(sent.Secrets) != 2 || sent.Mode != failOnNotFound || sent.ProjectID != projectID || sent.WorkspaceID != "" {
		t.Errorf("sent mode %q, %d entries, project %q, workspace %q; want %q, 2, %q and none", sent.Mode, len(sent.Secrets), sent.ProjectID, sent.WorkspaceID, failOnNotFound, projectID)
	}
	for _, c := range w.sim.Calls() {
		if strings.Contains(c.Path, "PK2") || strings.Contains(c.Path, "S2") {
			t.Errorf("a value is in the path %s", c.Path)
		}
	}
}

// A tokenSpy remembers the access tokens and the last body that pass.
type tokenSpy struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []string
	body []byte
}

func (s *tokenSpy) RoundTrip(r *http.Request) (*http.Response, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.seen = append(s.seen, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	s.body = data
	s.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(data))
	return s.next.RoundTrip(again)
}

func (s *tokenSpy) CloseIdleConnections() {
	if t, ok := s.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

func (s *tokenSpy) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

// capture puts a file in the place of stderr until the test ends, and returns
// what reads it.
func capture(t *testing.T) func() string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = f
	t.Cleanup(func() {
		os.Stderr = before
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return func() string {
		data, err := os.ReadFile(f.Name())
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
}
