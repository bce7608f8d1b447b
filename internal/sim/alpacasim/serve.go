package alpacasim

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Content types that Alpaca answers with: the service's own, and the edge's.
const (
	serviceJSON = "application/json; charset=UTF-8"
	edgeJSON    = "application/json"
)

// windowLength is how long a rate limit counts.
const windowLength = time.Minute

// documentedLimit is what X-RateLimit-Limit says when no limit is enforced.
const documentedLimit = 200

// An answer is one reply.
type answer struct {
	status int
	kind   string // content type
	body   string
	header http.Header
}

// good answers 200 with v.
func good(v any) answer { return answer{status: http.StatusOK, kind: serviceJSON, body: encode(v)} }

// refuse answers an error of the service, with extra fields if there are any.
func refuse(status, code int, message string, extra map[string]any) answer {
	m := map[string]any{"code": code, "message": message}
	maps.Copy(m, extra)
	return answer{status: status, kind: serviceJSON, body: encode(m)}
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a bug here: every body is made in this package
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ServeHTTP implements [http.Handler].
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	w.Header().Set("X-Request-ID", newRequestID())
	s.mu.Lock()
	a := broken(s.outage)
	if a.status == 0 {
		a = s.handle(r, body, err)
	}
	s.mu.Unlock()
	maps.Copy(w.Header(), a.header)
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Type", a.kind)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// broken is the answer of an outage that hits before anybody is recognised.
func broken(o Outage) answer {
	switch o {
	case ServerError:
		return answer{status: http.StatusInternalServerError, kind: serviceJSON, body: `{"message":"Internal Server Error"}`}
	case BadGateway:
		return answer{status: http.StatusBadGateway, kind: "text/html", body: "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"}
	case EdgeForbidden:
		return answer{status: http.StatusForbidden, kind: "text/html", body: "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n</body>\r\n</html>\r\n"}
	case Healthy, NoAnswer, Throttled:
	}
	return answer{}
}

// handle recognises the caller and answers; s.mu is held.
func (s *Sim) handle(r *http.Request, body []byte, bodyErr error) answer {
	a, no := s.authenticate(r)
	if no != nil {
		return *no
	}
	limits, no := s.count(a)
	if no != nil {
		return *no
	}
	s.settle(a)
	out := s.route(a, r, body, bodyErr)
	out.header = limits
	return out
}

// authenticate returns whose pair the headers carry, or the refusal.
func (s *Sim) authenticate(r *http.Request) (*account, *answer) {
	id, secret := r.Header.Get("APCA-API-KEY-ID"), r.Header.Get("APCA-API-SECRET-KEY")
	switch k := s.keys[id]; {
	case id == "" && secret == "" && r.Header.Get("Authorization") == "":
		return nil, &answer{status: http.StatusForbidden, kind: edgeJSON, body: "{\"message\": \"forbidden.\"}\n"}
	case strings.HasPrefix(id, "AK"): // a live key on the paper host
		no := refuse(http.StatusUnauthorized, 40110000, "request is not authorized", nil)
		return nil, &no
	case k == nil || k.secret != secret || !k.alive(s.now()): // assumed: dead and unknown look alike
		return nil, &answer{status: http.StatusUnauthorized, kind: edgeJSON, body: "{\"message\": \"unauthorized.\"}\n"}
	case s.flapped(id):
		no := refuse(http.StatusUnauthorized, 40110000, "access key verification failed : access key not found (Code = 40110000)", nil)
		return nil, &no
	default:
		return k.owner, nil
	}
}

// count books the call against the account's minute and returns the headers
// that say what is left, or the refusal.
func (s *Sim) count(a *account) (http.Header, *answer) {
	now := s.now()
	if now.Sub(a.window) >= windowLength || now.Before(a.window) {
		a.window, a.calls = now, 0
	}
	a.calls++
	limit := s.cfg.RateLimit
	enforced := limit > 0
	if !enforced {
		limit = documentedLimit
	}
	over := s.outage == Throttled || enforced && a.calls > limit
	left := max(0, limit-a.calls)
	if over {
		left = 0
	}
	h := http.Header{}
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(a.window.Add(windowLength).Unix(), 10))
	if !over {
		return h, nil
	}
	no := refuse(http.StatusTooManyRequests, 42910000, "rate limit exceeded", nil)
	no.header = h
	return nil, &no
}

// route answers a recognised call; s.mu is held. Assumed: the body of an
// unknown path.
func (s *Sim) route(a *account, r *http.Request, body []byte, bodyErr error) answer {
	path := r.URL.EscapedPath()
	order, isOrder := cutID(path, "/v2/orders/")
	symbol, isPosition := cutID(path, "/v2/positions/")
	q := r.URL.Query()
	switch op := r.Method + " "; {
	case op+path == "GET /v2/account":
		return good(s.body(a))
	case op+path == "GET /v2/clock":
		return good(s.clock())
	case op+path == "GET /v2/positions":
		return good(s.positionList(a))
	case op+path == "GET /v2/orders":
		return s.orderList(a, q)
	case op+path == "GET /v2/orders:by_client_order_id":
		return s.orderByClientID(a, q.Get("client_order_id"))
	case op+path == "POST /v2/orders":
		return s.postOrder(a, body, bodyErr)
	case isOrder && op == "GET ":
		return s.orderByID(a, order)
	case isOrder && op == "DELETE ":
		return s.cancel(a, order)
	case isPosition && op == "GET ":
		return s.positionGet(a, symbol)
	case isPosition && op == "DELETE ":
		return s.positionClose(a, symbol, q)
	}
	return answer{status: http.StatusNotFound, kind: serviceJSON, body: `{"message":"endpoint not found."}`}
}

// cutID returns the one segment of path after prefix.
func cutID(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", false
	}
	id, err := url.PathUnescape(rest)
	return id, err == nil
}
