package infisicalsim

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// A problem is an error answer.
type problem struct {
	status  int
	message any // text, or a list of issues
	name    string
	denied  bool // current servers add the rules that were tried
}

// An issue is one finding of the server's schema validation.
type issue struct {
	Code     string `json:"code"`
	Expected string `json:"expected"`
	Received string `json:"received"`
	Path     []any  `json:"path"`
	Message  string `json:"message"`
}

type errorBody struct {
	ReqID      string `json:"reqId,omitempty"`
	StatusCode int    `json:"statusCode"`
	Message    any    `json:"message"`
	Error      string `json:"error"`
	Details    []any  `json:"details,omitzero"`
}

// current returns the body that a current server sends.
func (p *problem) current() errorBody {
	b := errorBody{ReqID: "req-" + rand.Text()[:14], StatusCode: p.status, Message: p.message, Error: p.name}
	if p.denied {
		b.Details = []any{}
	}
	return b
}

// recorded returns the body that the recorded server sends.
func (p *problem) recorded() errorBody {
	return errorBody{StatusCode: p.status, Message: p.message, Error: p.name}
}

func missing(message, name string) *problem {
	return &problem{status: http.StatusNotFound, message: message, name: name}
}

func unauthorized(message string) *problem {
	return &problem{status: http.StatusUnauthorized, message: message, name: "UnauthorizedError"}
}

func badToken(message string) *problem {
	return &problem{status: http.StatusForbidden, message: message, name: "TokenError"}
}

func forbidden(action string) *problem {
	return &problem{status: http.StatusForbidden, message: "You are not allowed to " + action + " on secrets", name: "PermissionDenied", denied: true}
}

func badRequest(message string) *problem {
	return &problem{status: http.StatusBadRequest, message: message, name: "BadRequest"}
}

// broken is the answer to everything the server did not expect, a body that is
// not JSON included (09-misc-errors.json).
func broken() *problem {
	return &problem{status: http.StatusInternalServerError, message: "Something went wrong", name: "InternalServerError"}
}

// noRoute is the answer of the web framework, not of Infisical's error handler
// (08-batch.json, 09-misc-errors.json).
func noRoute(r *http.Request) any {
	return struct {
		Message    string `json:"message"`
		Error      string `json:"error"`
		StatusCode int    `json:"statusCode"`
	}{"Route " + r.Method + ":" + r.URL.RequestURI() + " not found", "Not Found", http.StatusNotFound}
}

// A handler answers 200 with the value, or the problem. s.mu is held.
type handler func(r *http.Request, who *identity) (any, *problem)

// public registers a handler that needs no access token.
func (s *Server) public(pattern string, h handler) { s.handle(pattern, false, false, h) }

// private registers a handler that needs an access token.
func (s *Server) private(pattern string, h handler) { s.handle(pattern, true, false, h) }

// current registers a private handler that the recorded server does not have.
func (s *Server) current(pattern string, h handler) { s.handle(pattern, true, true, h) }

func (s *Server) handle(pattern string, private, current bool, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		status, body := s.run(r, private, current, h)
		write(w, r, status, body)
	})
}

func (s *Server) run(r *http.Request, private, current bool, h handler) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current && s.old {
		return http.StatusNotFound, noRoute(r)
	}
	var who *identity
	var p *problem
	if private {
		who, p = s.authenticate(r)
	}
	if p == nil {
		var body any
		if body, p = h(r, who); p == nil {
			return http.StatusOK, body
		}
	}
	if s.old {
		return p.status, p.recorded()
	}
	return p.status, p.current()
}

// write sends body with a strong ETag, or 304 to a reader that has it.
func write(w http.ResponseWriter, r *http.Request, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha1.Sum(data) // as long as the recorded tags are; it signs nothing
	tag := `"` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("ETag", tag)
	if status == http.StatusOK && r.Method == http.MethodGet && r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// fields are a decoded JSON body, with what is wrong with it.
type fields struct {
	values map[string]any
	path   []any
	issues *[]issue
}

// body decodes the request. What is not JSON, or not said to be, ends in the
// server's generic 500.
func body(r *http.Request) (fields, *problem) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return fields{}, broken()
	}
	f := fields{values: map[string]any{}, issues: &[]issue{}}
	dec := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	if err := dec.Decode(&f.values); err != nil {
		return fields{}, broken()
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fields{}, broken()
	}
	return f, nil
}

func (f fields) note(name, want string, got any) {
	*f.issues = append(*f.issues, wrongType(want, got, append(append([]any{}, f.path...), name)))
}

func wrongType(want string, got any, path []any) issue {
	i := issue{Code: "invalid_type", Expected: want, Received: kindOf(got), Path: path}
	i.Message = "Expected " + i.Expected + ", received " + i.Received
	if got == nil {
		i.Message = "Required"
	}
	return i
}

// text returns a required string.
func (f fields) text(name string) string {
	s, ok := f.values[name].(string)
	if !ok {
		f.note(name, "string", f.values[name])
	}
	return s
}

// optional returns a string that may be left out, and whether it is there.
func (f fields) optional(name, fallback string) (string, bool) {
	v, ok := f.values[name]
	if !ok {
		return fallback, false
	}
	s, isText := v.(string)
	if !isText {
		f.note(name, "string", v)
	}
	return s, isText
}

// list returns a required array of objects.
func (f fields) list(name string) []fields {
	items, ok := f.values[name].([]any)
	if !ok {
		f.note(name, "array", f.values[name])
		return nil
	}
	all := make([]fields, 0, len(items))
	for n, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			*f.issues = append(*f.issues, wrongType("object", item, []any{name, n}))
			continue
		}
		all = append(all, fields{values: m, path: []any{name, n}, issues: f.issues})
	}
	return all
}

// invalid returns the validation failure, if there is one: 401 from the
// recorded server, 422 from a current one.
func (s *Server) invalid(f fields) *problem {
	if len(*f.issues) == 0 {
		return nil
	}
	p := &problem{status: http.StatusUnprocessableEntity, message: *f.issues, name: "ValidationFailure"}
	if s.old {
		p.status = http.StatusUnauthorized
	}
	return p
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "undefined"
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	}
	return "object"
}
