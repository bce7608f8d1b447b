package githubsim_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/nacl/box"

	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
)

const (
	contracts = "../../../testdata/contracts/github"
	token     = "github_pat_contract"
	// now is the time of the first recording.
	now = "2023-11-23T16:23:34Z"
)

// start runs a simulator until t ends, with one token that may do everything.
func start(t *testing.T, cfg githubsim.Config) *githubsim.Sim {
	t.Helper()
	s := githubsim.New(cfg)
	if err := s.Start(); err != nil {
		t.Fatalf("start simulator: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Grant(token, githubsim.FullAccess())
	return s
}

func load(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(contracts, file))
	if err != nil {
		t.Fatalf("read contract: %v", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("decode %s: %v", file, err)
	}
}

// A spec checks what passes through it against GitHub's published description.
type spec struct {
	t      *testing.T
	router routers.Router
	next   http.RoundTripper
	seen   int // exchanges that were checked
}

// description loads GitHub's published description once.
var description = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(contracts, "openapi.actions-secrets.subset.json"))
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // the paths are under the simulator
	return legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
})

func newSpec(t *testing.T) *spec {
	t.Helper()
	router, err := description()
	if err != nil {
		t.Fatalf("load OpenAPI: %v", err)
	}
	return &spec{t: t, router: router, next: http.DefaultTransport}
}

// RoundTrip implements [http.RoundTripper].
func (s *spec) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(got))

	check := r.Clone(r.Context())
	check.URL.Path = strings.TrimPrefix(check.URL.Path, "/api/v3")
	check.Body = io.NopCloser(bytes.NewReader(sent))
	route, params, err := s.router.FindRoute(check)
	if err != nil {
		return resp, nil //nolint:nilerr // not in the subset: GET of a repository
	}
	in := &openapi3filter.RequestValidationInput{Request: check, PathParams: params, Route: route}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		s.t.Errorf("%s %s is not as GitHub describes it: %v", r.Method, r.URL.Path, err)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), out.SetBodyBytes(got)); err != nil {
		s.t.Errorf("answer %d to %s %s is not as GitHub describes it: %v", resp.StatusCode, r.Method, r.URL.Path, err)
	}
	s.seen++
	return resp, nil
}

func send(t *testing.T, rt http.RoundTripper, method, url, body string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("make request: %v", err)
	}
	maps.Copy(r.Header, header)
	resp, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer of %s %s: %v", method, url, err)
	}
	return resp, got
}

// seal makes a box for a store of the simulator, with the key that it shows.
func seal(t *testing.T, base, store, value string) string {
	t.Helper()
	_, body := send(t, http.DefaultTransport, http.MethodGet, base+"/"+store+"/secrets/public-key", "", auth())
	var key struct{ Key string }
	if err := json.Unmarshal(body, &key); err != nil {
		t.Fatalf("decode public key %s: %v", body, err)
	}
	raw, err := base64.StdEncoding.DecodeString(key.Key)
	if err != nil || len(raw) != 32 {
		t.Fatalf("public key %q: %v, want 32 bytes", key.Key, err)
	}
	sealed, err := box.SealAnonymous(nil, []byte(value), (*[32]byte)(raw), rand.Reader)
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	return base64.StdEncoding.EncodeToString(sealed)
}

func auth() http.Header { return http.Header{"Authorization": {"token " + token}} }

// The simulator answers the requests that real clients made to the real
// service with the same codes, headers and shapes. Values are sealed anew,
// since only GitHub can open the recorded ones; organisations are left out.
func TestAnswersLikeTheRecordings(t *testing.T) {
	var file struct {
		Exchanges []struct {
			Source  string
			Request struct {
				Method, Path, Body string
				Headers            map[string]string
			}
			Response struct {
				Status  int
				Headers [][2]string
				Body    string
			}
		}
	}
	load(t, "recorded-real-exchanges.json", &file)
	at, _ := time.Parse(time.RFC3339, now)
	expires := time.Date(2024, 3, 2, 22, 39, 38, 0, time.UTC)
	replayed := 0
	for _, x := range file.Exchanges {
		if strings.HasPrefix(x.Request.Path, "/orgs/") {
			continue
		}
		replayed++
		t.Run(x.Request.Method+" "+x.Request.Path, func(t *testing.T) {
			s := start(t, githubsim.Config{Now: func() time.Time { return at }})
			s.SetStampOffset(time.Second) // as recorded
			access := githubsim.FullAccess()
			access.Scopes = []string{"repo", "workflow"}
			if slices.ContainsFunc(x.Response.Headers, func(h [2]string) bool { return h[0] == "github-authentication-token-expiration" }) {
				access.Expires = expires
			}
			s.Grant(token, access)
			parts := strings.Split(x.Request.Path, "/")
			owner, repo := parts[2], parts[3]
			s.AddRepo(owner, repo, "test")
			store, _, _ := strings.Cut(strings.Join(parts[4:], "/"), "/secrets")
			name := parts[len(parts)-1]
			if x.Request.Method == http.MethodGet || x.Request.Method == http.MethodDelete {
				s.SetSecret(owner, repo, store, name, "before", at.Add(time.Second))
			}
			body := x.Request.Body
			if x.Request.Method == http.MethodPut {
				raw, _ := json.Marshal(map[string]string{"key_id": githubsim.KeyID, "encrypted_value": seal(t, s.URL()+strings.Join(parts[:4], "/"), store, "after")})
				body = string(raw)
			}
			header := auth()
			for name, value := range x.Request.Headers {
				header.Set(name, value)
			}
			sp := newSpec(t)
			resp, got := send(t, sp, x.Request.Method, s.URL()+x.Request.Path, body, header)
			if resp.StatusCode != x.Response.Status {
				t.Errorf("status = %d, want %d (%s)", resp.StatusCode, x.Response.Status, x.Source)
			}
			if diff := cmp.Diff(shape(t, x.Response.Body), shape(t, string(got))); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			for _, h := range x.Response.Headers {
				have := resp.Header.Get(h[0])
				switch h[0] {
				case "Transfer-Encoding": // a matter of the connection
				case "Content-Type", "Cache-Control", "Vary", "X-GitHub-Media-Type", "x-github-api-version-selected",
					"X-RateLimit-Limit", "X-RateLimit-Resource", "X-Accepted-OAuth-Scopes", "github-authentication-token-expiration", "Server":
					if have != h[1] {
						t.Errorf("header %s = %q, want %q", h[0], have, h[1])
					}
				default:
					if have == "" {
						t.Errorf("header %s is missing", h[0])
					}
				}
			}
			if sp.seen != 1 {
				t.Errorf("exchanges checked against the description = %d, want 1", sp.seen)
			}
		})
	}
	if replayed != 9 {
		t.Errorf("replayed %d exchanges, want the 9 that are no organisation's", replayed)
	}
}

// shape reduces a JSON object to its members and their types; key_id and the
// names stay as they are.
func shape(t *testing.T, body string) map[string]any {
	t.Helper()
	if body == "" {
		return nil
	}
	var in, out map[string]any
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	out = map[string]any{}
	for k, v := range in {
		switch v := v.(type) {
		case string:
			switch {
			case strings.HasSuffix(k, "_at") || k == "name":
				out[k] = v
			default:
				out[k] = "text"
				if _, err := base64.StdEncoding.DecodeString(v); k == "key" && err != nil {
					t.Errorf("key = %q, want base64", v)
				}
			}
		default:
			out[k] = v
		}
	}
	return out
}

// The simulator serves the very requests of the real gh, opens the boxes that
// it sealed, and answers each with the recorded status. R48: "gh secret set"
// is what the SOP's operator would have typed.
func TestServesTheRequestsOfGhR48(t *testing.T) {
	var file struct {
		KeyPair struct {
			Public  string `json:"public_key_b64"`
			Private string `json:"private_key_b64"`
		} `json:"key_pair"`
		Modes []struct {
			Mode       string
			Recordings []struct {
				Command   string
				Exchanges []struct {
					Request struct {
						Method, Path, Body string
						Headers            [][2]string
					}
					Response struct{ Status int }
				}
			}
		}
	}
	load(t, "cli-exchanges.json", &file)
	public, private := key32(t, file.KeyPair.Public), key32(t, file.KeyPair.Private)
	for _, mode := range file.Modes {
		t.Run(mode.Mode, func(t *testing.T) {
			s := start(t, githubsim.Config{})
			s.AddRepo("o", "r", "production")
			for _, store := range []string{"actions", "dependabot", "environments/production"} {
				s.SetKey("o", "r", store, public, private)
			}
			sp := newSpec(t)
			sent := 0
			for _, rec := range mode.Recordings {
				for _, x := range rec.Exchanges {
					h := http.Header{}
					for _, kv := range x.Request.Headers {
						if kv[0] != "Host" && kv[0] != "Content-Length" && kv[0] != "Accept-Encoding" {
							h.Add(kv[0], strings.ReplaceAll(kv[1], "<token>", token))
						}
					}
					resp, body := send(t, sp, x.Request.Method, s.URL()+x.Request.Path, x.Request.Body, h)
					sent++
					if resp.StatusCode != x.Response.Status {
						t.Errorf("%s: %s %s = %d %s, want %d", rec.Command, x.Request.Method, x.Request.Path, resp.StatusCode, body, x.Response.Status)
					}
				}
			}
			if sp.seen != sent || sent < 7 {
				t.Errorf("checked %d of %d exchanges, want all of at least 7", sp.seen, sent)
			}
			for name, want := range map[string]string{"ALPACA_PAPER_API_KEY_ID": "PK", "ALPACA_PAPER_API_SECRET_KEY": ""} {
				if got, _, ok := s.Secret("o", "r", name); !ok || got == "" || !strings.HasPrefix(got, want) {
					t.Errorf("secret %s = %q, %v, want a value with prefix %q", name, got, ok, want)
				}
			}
		})
	}
	if len(file.Modes) != 2 {
		t.Errorf("modes = %d, want 2", len(file.Modes))
	}
}

func key32(t *testing.T, text string) *[32]byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		t.Fatalf("key %q: %v, want 32 bytes", text, err)
	}
	return (*[32]byte)(raw)
}

// Our own client's traffic, in every store, is as GitHub describes it in both
// directions (R49).
func TestOurClientAgainstTheDescriptionR49(t *testing.T) {
	for _, prefix := range []string{"", "/api/v3"} {
		s := start(t, githubsim.Config{})
		s.AddRepo("raxx", "raptor", "paper")
		sp := newSpec(t)
		client, err := github.New(github.Config{URL: s.URL() + prefix, Token: secret.New(token), Transport: serial(sp), Now: time.Now})
		if err != nil {
			t.Fatalf("New error = %v", err)
		}
		for _, env := range []string{"", "paper"} {
			repo := &github.Repo{Client: client, Name: "raxx/raptor", Environment: env, Dependabot: true, Names: rotation.Names{KeyID: "K_ID", Secret: "K_SECRET"}}
			d := rotation.Delivery{Pair: rotation.Pair{KeyID: secret.New("key"), Secret: secret.New("value")}, Print: "p"}
			if ready := repo.Ready(t.Context()); ready.Level != rotation.Unproven {
				t.Fatalf("Ready = %+v, want unproven", ready)
			}
			rec, err := repo.Apply(t.Context(), d)
			if err != nil {
				t.Fatalf("Apply error = %v", err)
			}
			if proof, err := repo.Verify(t.Context(), d, rec); err != nil || !proof.Done {
				t.Errorf("Verify = %+v, %v, want done", proof, err)
			}
		}
		if sp.seen != 2*(4+6+4) {
			t.Errorf("exchanges checked = %d, want 28", sp.seen)
		}
	}
}

// serial lets one request through at a time: the checks above are not made for
// several.
func serial(next http.RoundTripper) http.RoundTripper {
	return &one{next: next, turn: make(chan struct{}, 1)}
}

type one struct {
	next http.RoundTripper
	turn chan struct{}
}

func (o *one) RoundTrip(r *http.Request) (*http.Response, error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	return o.next.RoundTrip(r)
}
