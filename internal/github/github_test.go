package github_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

const (
	token   = "github_pat_11TESTTOKEN0000000000"
	idName  = "ALPACA_PAPER_API_KEY_ID"
	secName = "ALPACA_PAPER_API_SECRET_KEY"
	keyID   = "PKGITHUBTEST12345678"
	secKey  = "s3cr3t/of+the/new+pair0123456789abcdefgh"
	repoAt  = "/repos/raxx/raptor"
	keyAt   = repoAt + "/actions/secrets/public-key"
	idAt    = repoAt + "/actions/secrets/" + idName
	secAt   = repoAt + "/actions/secrets/" + secName
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return start }

// world is a simulator with one repository, and the consumer that is tested.
func world(t *testing.T, cfg githubsim.Config) (*githubsim.Sim, *github.Repo) {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = clock
	}
	sim := simtest.GitHub(t, cfg)
	sim.Grant(token, githubsim.FullAccess())
	sim.AddRepo("raxx", "raptor", "paper")
	return sim, consumer(t, sim.URL())
}

func consumer(t *testing.T, url string) *github.Repo {
	t.Helper()
	client, err := github.New(github.Config{URL: url, Token: secret.New(token), Transport: &http.Transport{}, Now: clock})
	if err != nil {
		t.Fatalf("New error = %v", err)
	}
	return &github.Repo{Client: client, Name: "raxx/raptor", Names: rotation.Names{KeyID: idName, Secret: secName}}
}

func delivery(last *rotation.Receipt) rotation.Delivery {
	return rotation.Delivery{
		Rotation: "r0123456789", KeySet: "prod", Print: "print-1", Last: last,
		Pair: rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(secKey)},
	}
}

// holds fails t unless the store holds exactly the pair.
func holds(t *testing.T, sim *githubsim.Sim, store string) {
	t.Helper()
	for name, want := range map[string]string{idName: keyID, secName: secKey} {
		if got, _, ok := sim.StoreSecret("raxx", "raptor", store, name); !ok || got != want {
			t.Errorf("%s secret %s = %q, %v, want %q", store, name, got, ok, want)
		}
	}
}

// R48: both secrets are set; GitHub itself could open the boxes.
func TestApplySetsBothR48(t *testing.T) {
	sim, repo := world(t, githubsim.Config{})
	rec, err := repo.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	holds(t, sim, githubsim.Actions)
	if rec.Unchanged || rec.Print != "print-1" || !rec.At.Equal(start) {
		t.Errorf("receipt = %+v, want one of print-1 at %v, changed", rec, start)
	}
	want := map[string]string{}
	for _, name := range []string{idName, secName} {
		want["raxx/raptor actions "+name+" put"] = "2026-11-22T12:00:00Z"
		want["raxx/raptor actions "+name+" since"] = "2026-11-22T12:00:00Z"
	}
	if diff := cmp.Diff(want, rec.Data); diff != "" {
		t.Errorf("receipt data (-want +got):\n%s", diff)
	}
	if !hasFact(rec.Facts, "queued_runs", "runs already queued keep the old value") {
		t.Errorf("facts = %+v, want queued_runs", rec.Facts)
	}
	if sim.Count(http.MethodGet, "") != 1 || sim.Count(http.MethodPut, "") != 2 {
		t.Errorf("calls = %v, want one read of the key and two writes", sim.Calls())
	}
	proof, err := repo.Verify(t.Context(), delivery(nil), rec)
	if err != nil || !proof.Done {
		t.Fatalf("Verify = %+v, %v, want done", proof, err)
	}
}

func hasFact(facts []rotation.Fact, name, value string) bool {
	for _, f := range facts {
		if f.Name == name && strings.Contains(f.Value, value) {
			return true
		}
	}
	return false
}

// R49: repository, environment and Dependabot store are configuration; each
// store is sealed to with its own key.
func TestStoresR49(t *testing.T) {
	tests := []struct {
		name        string
		environment string
		dependabot  bool
		want, empty []string // stores
	}{
		{name: "repository", want: []string{"actions"}, empty: []string{"dependabot", "environments/paper"}},
		{name: "environment", environment: "paper", want: []string{"environments/paper"}, empty: []string{"actions", "dependabot"}},
		{name: "repository and dependabot", dependabot: true, want: []string{"actions", "dependabot"}, empty: []string{"environments/paper"}},
		{name: "environment and dependabot", environment: "paper", dependabot: true, want: []string{"environments/paper", "dependabot"}, empty: []string{"actions"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			repo.Environment, repo.Dependabot = tt.environment, tt.dependabot
			if ready := repo.Ready(t.Context()); ready.Level != rotation.Unproven {
				t.Errorf("Ready = %+v, want unproven", ready)
			}
			rec, err := repo.Apply(t.Context(), delivery(nil))
			if err != nil {
				t.Fatalf("Apply error = %v", err)
			}
			if proof, err := repo.Verify(t.Context(), delivery(nil), rec); err != nil || !proof.Done {
				t.Errorf("Verify = %+v, %v, want done", proof, err)
			}
			for _, store := range tt.want {
				holds(t, sim, store)
			}
			for _, store := range tt.empty {
				if got, _, ok := sim.StoreSecret("raxx", "raptor", store, idName); ok {
					t.Errorf("%s holds %q, want nothing", store, got)
				}
			}
		})
	}
}

// answer is a fault that answers with a status of GitHub's, its body included.
func answer(method, path string, status, times int, header http.Header, message string) simhttp.Fault {
	return simhttp.Fault{
		Method: method, Path: path, Status: status, Times: times, Header: header,
		Body: fmt.Sprintf(`{"message":%q,"documentation_url":"https://docs.github.com/rest","status":"%d"}`, message, status),
	}
}

// Each status that GitHub answers has its kind, reason and advice; the value
// never arrives.
func TestEachStatus(t *testing.T) {
	tests := []struct {
		name   string
		fault  simhttp.Fault
		kind   fault.Kind
		reason string
		wait   time.Duration
		fix    string // part
	}{
		{name: "401", fault: answer("", "", 401, 0, nil, "Bad credentials"), kind: fault.Denied, reason: "bad_token", fix: "GITHUB_TOKEN"},
		{name: "403", fault: answer("", "", 403, 0, http.Header{"X-Accepted-GitHub-Permissions": {"secrets=write"}}, "Resource not accessible by personal access token"), kind: fault.Denied, reason: "forbidden", fix: "(GitHub says: secrets=write)"},
		{name: "403 with a strange header", fault: answer("", "", 403, 0, http.Header{"X-Accepted-GitHub-Permissions": {"<" + secKey + ">"}}, ""), kind: fault.Denied, reason: "forbidden", fix: "Secrets: read and write"},
		{name: "403 single sign-on", fault: answer("", "", 403, 0, http.Header{"X-GitHub-SSO": {"required; url=https://github.com/orgs/raxx/sso?authorization_request=A"}}, ""), kind: fault.Denied, reason: "sso_required", fix: "Authorise"},
		{name: "404", fault: answer("", "", 404, 0, nil, "Not Found"), kind: fault.NotFound, reason: "not_found", fix: "Secrets: read and write"},
		{name: "409", fault: answer("PUT", "", 409, 0, nil, "Conflict"), kind: fault.Conflict, reason: "conflict", fix: "Retry"},
		{name: "422", fault: answer("PUT", "", 422, 0, nil, "Bad request - validation failed due to an improperly encrypted secret"), kind: fault.Invalid, reason: "refused_value", fix: "by hand"},
		{name: "429 without a word", fault: answer("", "", 429, 0, nil, "Too many"), kind: fault.Transient, reason: "secondary_limit", wait: time.Minute, fix: "60 s"},
		{name: "418", fault: answer("", "", 418, 0, nil, ""), kind: fault.Invalid, reason: "refused", fix: "bot.yml"},
		{name: "500", fault: answer("", "", 500, 0, nil, "Server Error"), kind: fault.Transient, reason: "unavailable", fix: "githubstatus"},
		{name: "503 of a proxy", fault: simhttp.Fault{Status: 503, Body: "<html>away</html>"}, kind: fault.Transient, reason: "unavailable", fix: "Retry"},
		{name: "HTML instead of a key", fault: simhttp.Fault{Status: 200, Body: "<html>sign in</html>"}, kind: fault.Transient, reason: "bad_answer", fix: "proxy"},
		{name: "null instead of a key", fault: simhttp.Fault{Status: 200, Body: "null"}, kind: fault.Transient, reason: "bad_answer", fix: "proxy"},
		{name: "endless answer", fault: simhttp.Fault{Status: 200, Body: `{"key_id":"1","key":"` + strings.Repeat("A", 43) + `=","title":"` + strings.Repeat("x", 2<<20) + `"}`}, kind: fault.Transient, reason: "bad_answer", fix: "proxy"},
		{name: "write answered 200", fault: simhttp.Fault{Method: "PUT", Status: 200, Body: "{}"}, kind: fault.Unknown, reason: "bad_answer", fix: "proxy"},
		{name: "write answered 202", fault: simhttp.Fault{Method: "PUT", Status: 202, Body: "{}"}, kind: fault.Unknown, reason: "bad_answer", fix: "proxy"},
		{name: "301", fault: answer("GET", "", 301, 0, http.Header{"Location": {"/repositories/7"}}, "Moved Permanently"), kind: fault.Invalid, reason: "redirected", fix: "owner and name"},
		{name: "307 of a write", fault: answer("PUT", "", 307, 0, http.Header{"Location": {"/repositories/7"}}, "Temporary Redirect"), kind: fault.Invalid, reason: "redirected", fix: "owner and name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			sim.Inject(tt.fault)
			_, err := repo.Apply(t.Context(), delivery(nil))
			if fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason || fault.RetryAfter(err) != tt.wait {
				t.Errorf("Apply error = %v (wait %v), want %v (%s), wait %v", err, fault.RetryAfter(err), tt.kind, tt.reason, tt.wait)
			}
			if fix := fault.FixText(err); !strings.Contains(fix, tt.fix) {
				t.Errorf("fix = %q, want %q in it", fix, tt.fix)
			}
			noLeak(t, err)
			if _, _, ok := sim.Secret("raxx", "raptor", idName); ok {
				t.Error("the secret was written, want nothing")
			}
			if n := sim.Count("", "/repositories"); n != 0 {
				t.Errorf("redirects followed = %d, want 0", n)
			}
		})
	}
}

// noLeak fails t if anything about err holds the token, a value or a URL.
func noLeak(t *testing.T, err error) {
	t.Helper()
	all := fmt.Sprintf("%v|%+v|%s|%s", err, err, fault.UserText(err), fault.FixText(err))
	for _, value := range []string{token, keyID, secKey, secKey[:10], "http://", "authorization_request"} {
		if strings.Contains(all, value) {
			t.Errorf("%q is in the error: %s", value, all)
		}
	}
}

// A 422 that repeats what was sent never gets into a text, even if it were the
// value itself (github/rest-api-description#1688).
func TestEchoed422DoesNotLeak(t *testing.T) {
	sim, repo := world(t, githubsim.Config{})
	for range 4 {
		sim.Inject(githubsim.EchoInvalid(secKey + " " + keyID + " " + token))
	}
	_, err := repo.Apply(t.Context(), delivery(nil))
	if fault.ReasonOf(err) != "refused_value" {
		t.Errorf("Apply error = %v, want reason refused_value", err)
	}
	noLeak(t, err)
	if n := sim.Count(http.MethodGet, keyAt); n != 2 {
		t.Errorf("public key read %d times, want 2: once more after the refusal, then give up", n)
	}
}

// A public key that changes between its reading and the write costs one more
// round, not the rotation.
func TestKeyRotatedInBetween(t *testing.T) {
	sim, repo := world(t, githubsim.Config{})
	client, err := github.New(github.Config{URL: sim.URL(), Token: secret.New(token), Now: clock, Transport: &onFirst{
		path: keyAt, then: func() { sim.RotateKey("raxx", "raptor", githubsim.Actions) }, next: &http.Transport{},
	}})
	if err != nil {
		t.Fatalf("New error = %v", err)
	}
	repo.Client = client
	if _, err := repo.Apply(t.Context(), delivery(nil)); err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	holds(t, sim, githubsim.Actions)
	if get, put := sim.Count(http.MethodGet, keyAt), sim.Count(http.MethodPut, ""); get != 2 || put != 4 {
		t.Errorf("key read %d times, %d writes, want 2 and 4", get, put)
	}
}

// onFirst does something after the first answer for a path.
type onFirst struct {
	path string
	then func()
	next http.RoundTripper
}

func (o *onFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(r)
	if r.URL.Path == o.path && o.then != nil {
		o.then()
		o.then = nil
	}
	return resp, err
}

// R51: if only one of both was written, the error says which; the next Apply
// mends it.
func TestHalfAPairIsSaidAndMended(t *testing.T) {
	sim, repo := world(t, githubsim.Config{})
	sim.Inject(answer(http.MethodPut, secAt, 500, 1, nil, "Server Error"))
	_, err := repo.Apply(t.Context(), delivery(nil))
	if fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "partly_written" {
		t.Fatalf("Apply error = %v, want transient (partly_written)", err)
	}
	want := "raxx/raptor now holds the new " + idName + ", but not (as far as is known) " + secName + ". GitHub has a problem of its own (status 500)."
	if got := fault.UserText(err); got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if _, err := repo.Apply(t.Context(), delivery(nil)); err != nil {
		t.Fatalf("second Apply error = %v", err)
	}
	holds(t, sim, githubsim.Actions)
}

// A write whose answer is lost is unknown, not failed; the next Apply writes
// again, which is harmless.
func TestLostReply(t *testing.T) {
	sim, repo := world(t, githubsim.Config{})
	sim.Inject(simhttp.Fault{Method: http.MethodPut, Path: idAt, LoseReply: true, Times: 1})
	_, err := repo.Apply(t.Context(), delivery(nil))
	if fault.KindOf(err) != fault.Unknown {
		t.Fatalf("Apply error = %v, want unknown", err)
	}
	noLeak(t, err)
	rec, err := repo.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("second Apply error = %v", err)
	}
	holds(t, sim, githubsim.Actions)
	if proof, err := repo.Verify(t.Context(), delivery(nil), rec); err != nil || !proof.Done {
		t.Errorf("Verify = %+v, %v, want done", proof, err)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		sim, repo := world(t, githubsim.Config{})
		_ = sim.Close()
		_, err := repo.Apply(t.Context(), delivery(nil))
		if fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "unreachable" {
			t.Errorf("Apply error = %v, want transient (unreachable)", err)
		}
		noLeak(t, err)
	})
	t.Run("cut off while reading", func(t *testing.T) {
		sim, repo := world(t, githubsim.Config{})
		sim.Inject(simhttp.Fault{Method: http.MethodGet, Cut: true})
		if _, err := repo.Apply(t.Context(), delivery(nil)); fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "no_answer" {
			t.Errorf("Apply error = %v, want transient (no_answer)", err)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		_, repo := world(t, githubsim.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := repo.Apply(ctx, delivery(nil)); fault.ReasonOf(err) != "stopped" {
			t.Errorf("Apply error = %v, want reason stopped", err)
		}
	})
}

// A call that hangs ends after 10 s: a read may be tried again, a write is
// unknown.
func TestEachCallHasADeadline(t *testing.T) {
	tests := []struct {
		name string
		hang string // method
		want fault.Kind
	}{
		{name: "read", hang: http.MethodGet, want: fault.Transient},
		{name: "write", hang: http.MethodPut, want: fault.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, err := github.New(github.Config{URL: "http://127.0.0.1:9", Token: secret.New(token), Now: clock, Transport: hanging(tt.hang)})
				if err != nil {
					t.Fatalf("New error = %v", err)
				}
				repo := &github.Repo{Client: client, Name: "raxx/raptor", Names: rotation.Names{KeyID: idName, Secret: secName}}
				began := time.Now()
				_, err = repo.Apply(t.Context(), delivery(nil))
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("took %v, want 10s", took)
				}
				if fault.KindOf(err) != tt.want || fault.ReasonOf(err) != "no_answer" {
					t.Errorf("Apply error = %v, want %v (no_answer)", err, tt.want)
				}
			})
		})
	}
}

// hanging answers reads with a key, and never answers its own method.
type hanging string

func (h hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == string(h) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body := `{"key_id":"1","key":"` + strings.Repeat("A", 43) + `="}`
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Date": {start.Format(http.TimeFormat)}, "Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(body)),
	}, nil
}
