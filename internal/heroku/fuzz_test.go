package heroku

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzAnswer gives every call the same answer. Whatever comes, only JSON of a
// success is read as one, nothing is proven by it, an error is a fault that
// quotes nothing, and a warning is one short printable line.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"`+keyName+`":"PKZx9QmW3vKb7TnY5rLc","`+secName+`":null}`), "")
	f.Add(200, []byte(`[{"version":7,"status":"succeeded","description":"Set A, B config vars"}]`), "a\x00b\u202e")
	f.Add(206, []byte(`[{"name":"web.1","type":"web","state":"up","release":{"version":99999}}]`), strings.Repeat("w", 300))
	f.Add(401, []byte(`{"id":"unauthorized","message":"Invalid credentials: Zx9QmW3vKb7TnY5rLc2"}`), newPair.Secret.Reveal())
	f.Add(200, []byte(`<html>Zx9QmW3vKb7TnY5rLc2</html>`), newPair.KeyID.Reveal())
	f.Add(500, []byte(``), "")
	for _, r := range simtest.Recordings(f, "heroku") {
		f.Add(r.Status, r.Body, "")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, warning string) {
		if status < 200 || status > 999 { // net/http hands on no other
			return
		}
		answer := &simtest.Answer{Status: status, Header: http.Header{"X-Heroku-Warning": {warning}, "Oauth-Scope": {warning}}, Body: body}
		a := appAt(t, "http://heroku.invalid", answer)
		ctx := t.Context()
		good := status/100 == 2 && json.Valid(body)

		vars, err := a.Client.Vars(ctx, prod, names)
		check(t, "Vars", good, body, err)
		if err == nil && !holdsText(body, vars.Pair.KeyID.Reveal(), vars.Pair.Secret.Reveal()) {
			t.Errorf("%d %q: Vars read a value that is not in it", status, body)
		}
		_, err = a.Client.ReleaseVars(ctx, prod, 7, names)
		check(t, "ReleaseVars", good, body, err)
		_, err = a.Client.Releases(ctx, prod, 10)
		check(t, "Releases", good, body, err)
		release, err := a.Client.Release(ctx, prod, 7)
		check(t, "Release", good, body, err)
		if err == nil && release.Version != 7 {
			t.Errorf("%d %q: Release 7 is %+v", status, body, release)
		}
		_, err = a.Client.Dynos(ctx, prod)
		check(t, "Dynos", good, body, err)
		_, err = a.Client.Preboot(ctx, prod)
		check(t, "Preboot", good, body, err)

		warned, err := a.Client.SetVars(ctx, prod, names, newPair)
		check(t, "SetVars", status/100 == 2, nil, err)
		if len([]rune(warned)) > warningMax || strings.ContainsFunc(warned, unicode.IsControl) || strings.Contains(warned, newPair.Secret.Reveal()) || strings.Contains(warned, newPair.KeyID.Reveal()) {
			t.Errorf("warning %q became %q, want one short line without the pair", warning, warned)
		}
		if p, err := a.Verify(ctx, delivery(), rotation.Receipt{Data: map[string]string{dataRelease: "7"}}); p.Done {
			t.Errorf("%d %q: proven (%s, %v) by one answer to three questions", status, body, p.Detail, err)
		}
		if r := a.Ready(ctx); r.Level == rotation.Ready || r.Level == rotation.Unproven && !good {
			t.Errorf("%d %q: Ready = %s", status, body, r.Level)
		}
	})
}

// FuzzNumbers feeds what Heroku says in headers and descriptions.
func FuzzNumbers(f *testing.F) {
	f.Add("60", "Set A, B config vars")
	f.Add("-9223372036854775808", "Set , config vars")
	f.Add("1e400", "Set "+strings.Repeat("A,", 100))
	f.Add(stamp.Add(time.Hour).Format(http.TimeFormat), "Deploy 0123abc")
	f.Fuzz(func(t *testing.T, wait, description string) {
		if got := retryAfter(http.Header{"Retry-After": {wait}}, stamp); got < 0 || got > retryAfterMax {
			t.Errorf("Retry-After %q = %v, want 0 to %v", wait, got, retryAfterMax)
		}
		for _, name := range setNames(description) {
			if !strings.Contains(description, name) {
				t.Errorf("setNames(%q) has %q", description, name)
			}
		}
		list := []Release{{Version: 7, Description: description}}
		if got := (&App{Names: names}).ours(list); got.Version != 0 && !strings.Contains(description, keyName) && !strings.Contains(description, secName) {
			t.Errorf("a release with %q is taken for ours", description)
		}
	})
}

// check reports a success that cannot be one, and an error that is not as it
// must be.
func check(t *testing.T, call string, mayBeGood bool, body []byte, err error) {
	t.Helper()
	if err == nil {
		if !mayBeGood {
			t.Errorf("%s took %q for an answer", call, body)
		}
		return
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Reason == "" || e.Op == "" || fault.UserText(err) == "" {
		t.Errorf("%s: error %#v, want a fault with reason, op and text", call, err)
	}
	if got := simtest.Quoted(body, err.Error(), fault.UserText(err), fault.FixText(err)); got != "" {
		t.Errorf("%s: the error quotes %q of the answer: %v", call, got, err)
	}
}

// holdsText reports whether each value is empty or a text in the JSON of body.
func holdsText(body []byte, values ...string) bool {
	var all map[string]any
	_ = json.Unmarshal(body, &all)
	for _, value := range values {
		found := value == ""
		for _, v := range all {
			found = found || v == any(value)
		}
		if !found {
			return false
		}
	}
	return true
}

// TestReadsNoMoreThanItShould: a body that never ends is given up on.
func TestReadsNoMoreThanItShould(t *testing.T) {
	for _, status := range []int{200, 403, 500} {
		answer := &simtest.Answer{Status: status, Body: []byte(`{"` + keyName + `":"`), Rest: 10 << 20}
		a := appAt(t, "http://heroku.invalid", answer)
		_, err := a.Client.Vars(t.Context(), prod, names)
		if err == nil || fault.UserText(err) == "" {
			t.Errorf("status %s: %v, want a fault", strconv.Itoa(status), err)
		}
		if got := answer.Read(); got > bodyMax+4096 {
			t.Errorf("status %d: %d bytes were read, want at most %d", status, got, bodyMax)
		}
	}
}
