package infisical

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/infisical/go-sdk/packages/api/secrets"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// fuzzPlace is where the recordings have their pair.
var fuzzPlace = Place{ProjectID: "9cf93f17-abcf-4f81-b5eb-6c58434d856c", Environment: "prod", Path: "/", Names: names}

// loggedIn returns the vault of a client that has a token and talks to url.
func loggedIn(url string, transport http.RoundTripper) *Vault {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := New(Config{SiteURL: url, ClientID: clientID, ClientSecret: secret.New(goodSecret), Transport: transport, Now: func() time.Time { return now }})
	s := &session{login: 1, token: secret.New("an access token"), renewAt: now.Add(time.Hour), expires: now.Add(time.Hour)}
	c.current, c.refusal, c.refusedUntil = s, &fault.Error{Kind: fault.Denied, Reason: reasonLoginRefused, Op: "infisical.Login", User: "No."}, now.Add(time.Hour) // no second login
	return c.Vault(fuzzPlace)
}

// FuzzWrite answers a write. Whatever comes: the pair counts as stored only with
// a 200 whose JSON names both with a version, what may have been done is
// unknown, and an error is a fault that quotes nothing.
func FuzzWrite(f *testing.F) {
	both := `{"secrets":[{"secretKey":"` + keyName + `","version":2},{"secretKey":"` + secretName + `","version":2}]}`
	for _, body := range []string{
		both, strings.Replace(both, "2", "0", 1), strings.Replace(both, `"secrets"`, `"approval":{"id":"Zx9QmW3vKb7TnY5rLc2"},"secrets"`, 1), `{"secrets":null}`, `null`, `[]`, ``,
		`<html>Zx9QmW3vKb7TnY5rLc2</html>`, `{"message":"Secret Zx9QmW3vKb7TnY5rLc2 not found","error":"NotFound","reqId":"Zx9QmW3vKb7TnY5rLc2"}`,
		`{"message":["Zx9QmW3vKb7TnY5rLc2"],"error":"ValidationFailure"}`, `{"reqId":"req-Zx9QmW3vKb7TnY5rLc2","message":"Token missing","error":"TokenError"}`,
	} {
		for _, status := range []int{200, 204, 302, 400, 401, 403, 404, 422, 429, 500} {
			f.Add(status, []byte(body), "application/json", "7")
		}
		f.Add(200, []byte(body), "text/html", "-1")
	}
	for _, r := range simtest.Recordings(f, "infisical") {
		f.Add(r.Status, r.Body, "application/json; charset=utf-8", "")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, kind, wait string) {
		if status < 200 || status > 999 {
			return
		}
		v := loggedIn("https://infisical.invalid", &simtest.Answer{Status: status, Header: http.Header{"Content-Type": {kind}, "Retry-After": {wait}}, Body: body})
		err := v.Write(t.Context(), pair("PKFUZZ00000000000001", "fuzzSecretKeyOfTheNewPair"), true)
		if err == nil && (status != http.StatusOK || !json.Valid(body) || !bytes.Contains(body, []byte("ersion"))) {
			t.Errorf("%d %q %q: stored", status, kind, body)
		}
		if err != nil && status == http.StatusOK && fault.KindOf(err) != fault.Unknown && fault.ReasonOf(err) != "approval_required" {
			t.Errorf("%d %q %q: %v, want unknown: it may be stored", status, kind, body, err)
		}
		if wait := fault.RetryAfter(err); wait < 0 {
			t.Errorf("Retry-After %q: %v", wait, wait)
		}
		check(t, body, err)
	})
}

// FuzzRead answers the SDK, over a real connection. Whatever comes: a value is
// one that the answer holds under its name, with a version, and an error is a
// fault that quotes nothing.
func FuzzRead(f *testing.F) {
	list := `{"secrets":[{"secretKey":"` + keyName + `","secretValue":"PKFUZZ00000000000001","version":1,"type":"shared","environment":"prod","secretPath":"/"},` +
		`{"secretKey":"` + secretName + `","secretValue":"fuzzSecretKeyOfTheNewPair","version":3,"type":"shared","environment":"prod","secretPath":"/"}],"imports":[]}`
	for _, body := range []string{list, strings.Replace(list, "PKFUZZ00000000000001", masked, 1), strings.Replace(list, `"version":1`, `"version":-1`, 1), `{"secrets":[]}`, `{}`, `null`, ``, `<html>Zx9QmW3vKb7TnY5rLc2</html>`, `{"message":"Zx9QmW3vKb7TnY5rLc2","error":"NotFound","statusCode":404}`} {
		for _, status := range []int{200, 302, 401, 403, 404, 429, 500} {
			f.Add(status, []byte(body))
		}
	}
	for _, r := range simtest.Recordings(f, "infisical") {
		f.Add(r.Status, r.Body)
	}
	var mu sync.Mutex
	var now simtest.Answer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(now.Status)
		_, _ = w.Write(now.Body)
	}))
	f.Cleanup(srv.Close)
	web := loggedIn(srv.URL, nil).client.newHTTP()
	f.Cleanup(web.GetClient().CloseIdleConnections)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		mu.Lock()
		now.Status, now.Body = status, body
		mu.Unlock()
		v := loggedIn(srv.URL, nil)
		v.client.current.http = web
		got, err := v.Read(t.Context())
		if err == nil {
			for name, value := range map[string]secret.Text{keyName: got.Pair.KeyID, secretName: got.Pair.Secret} {
				if value.Reveal() != "" && (status/100 != 2 || !under(body, name, value.Reveal())) {
					t.Errorf("%d %q: read a %s that is not in it", status, body, name)
				}
			}
			if (got.Version.KeyID < 1) != got.Pair.KeyID.Empty() && got.Version.KeyID < 1 {
				t.Errorf("%d %q: a key ID of version %d", status, body, got.Version.KeyID)
			}
		} else if !got.Pair.KeyID.Empty() || !got.Pair.Secret.Empty() {
			t.Errorf("%d %q: a pair and %v", status, body, err)
		}
		check(t, body, err)
	})
}

// under reports whether body holds value as that of name.
func under(body []byte, name, value string) bool {
	var list api.ListSecretsV3RawResponse
	_ = json.Unmarshal(body, &list)
	for _, s := range list.Secrets {
		if s.SecretKey == name && s.SecretValue == value {
			return true
		}
	}
	return false
}

// check reports an error that is not as it must be.
func check(t *testing.T, body []byte, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Reason == "" || e.Op == "" || fault.UserText(err) == "" {
		t.Errorf("error %#v, want a fault with reason, op and text", err)
	}
	shown, id, _ := strings.Cut(err.Error(), ", request ") // Infisical's support asks for it
	if !requestIDs.MatchString(id) && id != "?" && id != "" {
		t.Errorf("the request ID %q is shown", id)
	}
	if got := simtest.Quoted(body, shown, fault.UserText(err), fault.FixText(err)); got != "" {
		t.Errorf("the error quotes %q of the answer: %v", got, err)
	}
}

// TestReadsNoMoreThanItShould: a body that never ends is given up on, and the
// write that it answers may have been done.
func TestReadsNoMoreThanItShould(t *testing.T) {
	// An error of the server's own means that its transaction was rolled back.
	for status, want := range map[int]fault.Kind{200: fault.Unknown, 403: fault.Unknown, 500: fault.Transient} {
		answer := &simtest.Answer{Status: status, Body: []byte(`{"secrets":[`), Rest: 10 << 20}
		err := loggedIn("https://infisical.invalid", answer).Write(t.Context(), pair("PK2", "S2"), false)
		if fault.KindOf(err) != want {
			t.Errorf("status %d: %v, want kind %v", status, err, want)
		}
		check(t, answer.Body, err)
		if got := answer.Read(); got > bodyMax+4096 {
			t.Errorf("status %d: %d bytes were read, want at most %d", status, got, bodyMax)
		}
	}
}
