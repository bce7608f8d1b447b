package simhttp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// TestWatch: whoever watches sees all of a call, and so does the service.
func TestWatch(t *testing.T) {
	seen := make(chan simhttp.Request, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	s.Watch(func(r simhttp.Request) { seen <- r })
	if got := post(t, s.URL()+"/a%20b?c=d", "the body"); got != "the body" {
		t.Errorf("the service read %q, want the body", got)
	}
	r := <-seen
	got := []string{r.Method, r.URI, string(r.Body), r.Header.Get("Authorization")}
	if diff := cmp.Diff([]string{"POST", "/a%20b?c=d", "the body", "Bearer token"}, got); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	s.Inject(simhttp.Fault{Times: 1, Status: http.StatusInternalServerError})
	post(t, s.URL(), "with a fault")
	if r := <-seen; string(r.Body) != "with a fault" {
		t.Errorf("with a fault %q was seen, want all of it", r.Body)
	}
	s.Watch(nil)
	if got := post(t, s.URL(), "alone"); got != "alone" || len(seen) > 0 {
		t.Errorf("nobody watches: the service read %q and %d calls were seen, want the body and 0", got, len(seen))
	}
}

// TestEcho: a fault can quote what it was sent.
func TestEcho(t *testing.T) {
	s := start(t, func(http.ResponseWriter, *http.Request) {})
	s.Inject(simhttp.Fault{Status: http.StatusBadRequest, Body: `{"message":"got ` + simhttp.EchoMark + `"}`})
	got := post(t, s.URL(), `{"value":"x"}`)
	for _, want := range []string{`{"message":"got `, `Authorization: Bearer token\r\n`, `{\"value\":\"x\"}"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("the answer is %s, want %s in it", got, want)
		}
	}
}

func start(t *testing.T, h http.HandlerFunc) *simhttp.Server {
	t.Helper()
	s := simhttp.New(h)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token")
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
