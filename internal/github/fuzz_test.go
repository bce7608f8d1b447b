package github_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// A byMethod answers questions and writes each in its own way.
type byMethod struct{ get, put *simtest.Answer }

func (b byMethod) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return b.get.RoundTrip(r)
	}
	return b.put.RoundTrip(r)
}

// FuzzAnswer answers every question with one body and every write with another
// status. Whatever comes: a pair counts as written only with a usable public key
// and the two statuses of a write, nothing is proven that GitHub did not date,
// and an error is a fault that quotes nothing.
func FuzzAnswer(f *testing.F) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	f.Add(200, 204, []byte(`{"key_id":"568250167242549743","key":"`+key+`"}`), "Sun, 22 Nov 2026 12:00:00 GMT")
	f.Add(200, 200, []byte(`{"key_id":"568250167242549743","key":"`+key+`"}`), "")
	f.Add(200, 201, []byte(`{"name":"`+idName+`","updated_at":"2026-11-22T12:00:01Z"}`), "yesterday")
	f.Add(200, 204, []byte(`{"full_name":"raxx/raptor","permissions":{"push":true}}`), "")
	f.Add(404, 422, []byte(`{"message":"Bad Zx9QmW3vKb7TnY5rLc2"}`), "")
	f.Add(200, 204, []byte(`<html>Zx9QmW3vKb7TnY5rLc2</html>`), "")
	f.Add(403, 403, []byte(`{"message":"You have exceeded a secondary rate limit Zx9QmW3vKb7TnY5rLc2"}`), "")
	for _, r := range simtest.Recordings(f, "github") {
		f.Add(r.Status, 204, r.Body, "")
	}
	f.Fuzz(func(t *testing.T, get, put int, body []byte, date string) {
		if get < 200 || get > 999 || put < 200 || put > 999 {
			return
		}
		header := http.Header{}
		if date != "" {
			header.Set("Date", date)
		}
		repo := answered(t, byMethod{&simtest.Answer{Status: get, Header: header, Body: body}, &simtest.Answer{Status: put, Body: body}})
		ctx := t.Context()
		good := get/100 == 2 && json.Valid(body)

		receipt, err := repo.Apply(ctx, delivery(nil))
		if err == nil && (!good || put != http.StatusCreated && put != http.StatusNoContent || !usableKey(body) || receipt.Unchanged) {
			t.Errorf("%d, %d, %q: written, receipt %+v", get, put, body, receipt)
		}
		check(t, body, err)
		old := rotation.Receipt{Print: "print-1", Data: map[string]string{}}
		for _, name := range []string{idName, secName} {
			old.Data["raxx/raptor actions "+name+" put"] = start.Format(time.RFC3339)
			old.Data["raxx/raptor actions "+name+" since"] = start.Format(time.RFC3339)
		}
		proof, err := repo.Verify(ctx, delivery(&old), old)
		if proof.Done && (!good || err != nil || !dated(body)) {
			t.Errorf("%d, %q: proven (%s, %v)", get, body, proof.Detail, err)
		}
		check(t, body, err)
		if r := repo.Ready(ctx); r.Level == rotation.Ready || r.Level == rotation.Unproven && !good {
			t.Errorf("%d, %q: Ready = %s", get, body, r.Level)
		} else if got := simtest.Quoted(body, r.Detail, r.Problem.Text, r.Problem.Fix); got != "" {
			t.Errorf("Ready quotes %q of the answer: %+v", got, r)
		}
	})
}

func answered(t *testing.T, transport http.RoundTripper) *github.Repo {
	t.Helper()
	client, err := github.New(github.Config{URL: "https://github.invalid", Token: secret.New(token), Transport: transport, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &github.Repo{Client: client, Name: "raxx/raptor", Names: rotation.Names{KeyID: idName, Secret: secName}}
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
	if got := simtest.Quoted(body, err.Error(), fault.UserText(err), fault.FixText(err)); got != "" {
		t.Errorf("the error quotes %q of the answer: %v", got, err)
	}
}

// usableKey reports whether body is a public key that values can be sealed to.
func usableKey(body []byte) bool {
	var got struct{ Key string }
	_ = json.Unmarshal(body, &got)
	raw, err := base64.StdEncoding.DecodeString(got.Key)
	return err == nil && len(raw) == 32
}

// dated reports whether body says when something was updated.
func dated(body []byte) bool {
	var got struct {
		At any `json:"updated_at"`
	}
	return json.Unmarshal(body, &got) == nil && got.At != nil
}

// TestReadsNoMoreThanItShould: a body that never ends is given up on.
func TestReadsNoMoreThanItShould(t *testing.T) {
	for _, status := range []int{200, 403, 500} {
		answer := &simtest.Answer{Status: status, Body: []byte(`{"key_id":"`), Rest: 10 << 20}
		_, err := answered(t, answer).Apply(t.Context(), delivery(nil))
		if err == nil {
			t.Errorf("status %d: written, want a fault", status)
		}
		check(t, answer.Body, err)
		if got, most := answer.Read(), int64(2*(1<<20)); got > most {
			t.Errorf("status %d: %d bytes were read, want at most %d", status, got, most)
		}
	}
}

// TestUnusableAnswers: success that is none.
func TestUnusableAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"HTML": "<html>log in</html>", "empty": "", "cut off": `{"key_id":"1","key":"`, "null": "null", "a list": "[]",
		"deep":         strings.Repeat("[", 100_000),
		"a short key":  `{"key_id":"1","key":"c2hvcnQ="}`,
		"no base64":    `{"key_id":"1","key":"***"}`,
		"no ID":        `{"key":"` + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) + `"}`,
		"another type": `{"key_id":1,"key":[]}`,
	} {
		_, err := answered(t, &simtest.Answer{Status: 200, Body: []byte(body)}).Apply(t.Context(), delivery(nil))
		if fault.ReasonOf(err) != "bad_answer" {
			t.Errorf("%s: %v, want bad_answer", name, err)
		}
		check(t, []byte(body), err)
	}
}
