package page

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// policy lets the page load nothing but its own files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard refuses what does not come from the page itself: another site in the
// same browser could otherwise press buttons, or name this address (DNS
// rebinding) and read secrets. It reports whether to go on.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.Set("Cache-Control", "no-store")
	}
	switch {
	case !s.hosts[r.Host]:
		refuse(w, http.StatusMisdirectedRequest, "The page is not served under this name.")
	case r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "http://"+r.Host:
		refuse(w, http.StatusForbidden, "Requests from other pages are refused.")
	case r.Header.Get("Sec-Fetch-Site") == "cross-site" && strings.HasPrefix(r.URL.Path, "/api/"):
		refuse(w, http.StatusForbidden, "Requests from other pages are refused.")
	case r.Method == http.MethodPost && !isJSON(r):
		refuse(w, http.StatusForbidden, "Content-Type must be application/json.")
	default:
		return true
	}
	return false
}

func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// refuse answers with a sentence.
func refuse(w http.ResponseWriter, status int, why string) {
	writeJSON(w, status, answer{"ok": false, "error": why})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "The answer could not be written.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser is gone
}

// An answer is what a request that does something returns beside ok and error.
type answer map[string]any

// post serves a request that does something. f's error is a sentence for the
// person. The board is looked after before the answer is sent.
func post[T any](s *Server, pattern string, f func(ctx context.Context, in T) (answer, error)) {
	s.mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, r *http.Request) {
		var in T
		if err := decode(w, r, &in); err != nil {
			refuse(w, http.StatusBadRequest, "The request could not be read.")
			return
		}
		out, err := f(r.Context(), in)
		if out == nil {
			out = answer{}
		}
		if _, set := out["ok"]; !set {
			out["ok"] = err == nil
		}
		if _, set := out["error"]; !set {
			out["error"] = sentence(err)
		}
		s.soon()
		writeJSON(w, http.StatusOK, out)
	})
}

// decode reads one JSON object.
func decode(w http.ResponseWriter, r *http.Request, in any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err := d.Decode(in); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one object")
	}
	return nil
}

// sentence makes an error text one: capital letter, full stop.
func sentence(err error) string {
	if err == nil {
		return ""
	}
	text := []rune(strings.TrimSpace(err.Error()))
	if len(text) == 0 {
		return "It did not work."
	}
	text[0] = []rune(strings.ToUpper(string(text[0])))[0]
	if last := text[len(text)-1]; last != '.' && last != '?' && last != '!' {
		text = append(text, '.')
	}
	return string(text)
}
