package infisical

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// A mode says what a batch update does with a name that is absent.
type mode string

const (
	failOnNotFound mode = "failOnNotFound"
	upsert         mode = "upsert"
)

// A batch is the body of PATCH /api/v4/secrets/batch and of its v3 twin.
type batch struct {
	ProjectID   string  `json:"projectId,omitempty"`   // v4
	WorkspaceID string  `json:"workspaceId,omitempty"` // v3
	Environment string  `json:"environment"`
	SecretPath  string  `json:"secretPath"`
	Mode        mode    `json:"mode,omitempty"`
	Secrets     []entry `json:"secrets"`
}

// An entry is one value on its way to Infisical.
type entry struct {
	Key   string `json:"secretKey"`
	Value string `json:"secretValue"`
}

// An outcome is a 200 of a batch update.
type outcome struct {
	Secrets []struct {
		Key     string `json:"secretKey"`
		Version int    `json:"version"`
	} `json:"secrets"`
	Approval *json.RawMessage `json:"approval"` // a change policy holds the change back
}

// version returns the version of a name in the answer, or 0.
func (o outcome) version(name string) int {
	for _, s := range o.Secrets {
		if s.Key == name {
			return s.Version
		}
	}
	return 0
}

// update changes all entries or none, in one database transaction of the
// server. A server without the v4 route, which says so with the web framework's
// own 404 (08-batch.json), gets the v3 route from then on.
func (c *Client) update(ctx context.Context, op string, p Place, m mode, entries []entry) (outcome, error) {
	body := batch{Environment: p.Environment, SecretPath: p.Path, Mode: m, Secrets: entries}
	if !c.noV4.Load() {
		body.ProjectID = p.ProjectID
		got, err := c.send(ctx, op, p, http.MethodPatch, "/v4/secrets/batch", body)
		if fault.ReasonOf(err) != reasonNoRoute {
			return got, err
		}
		c.noV4.Store(true)
	}
	body.ProjectID, body.WorkspaceID = "", p.ProjectID
	return c.send(ctx, op, p, http.MethodPatch, "/v3/secrets/batch/raw", body)
}

// create makes all entries or none; it is for servers without [upsert].
func (c *Client) create(ctx context.Context, op string, p Place, entries []entry) (outcome, error) {
	body := batch{WorkspaceID: p.ProjectID, Environment: p.Environment, SecretPath: p.Path, Secrets: entries}
	return c.send(ctx, op, p, http.MethodPost, "/v3/secrets/batch/raw", body)
}

// send makes one call with a good token, and once more with a new one if the
// server refuses the token: then nothing was applied.
func (c *Client) send(ctx context.Context, op string, p Place, method, path string, body batch) (outcome, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return outcome{}, fmt.Errorf("encode batch: %w", err)
	}
	s, err := c.session(ctx, 0, false)
	if err != nil {
		return outcome{}, err
	}
	got, a, err := c.once(ctx, op, s, method, path, data)
	if err == nil && tokenRefused(a.status, a.name, a.message) {
		if s, err = c.session(ctx, s.login, false); err != nil {
			return outcome{}, err
		}
		got, a, err = c.once(ctx, op, s, method, path, data)
	}
	switch {
	case err != nil:
		return outcome{}, err
	case a.status != http.StatusOK:
		return outcome{}, refused(op, p.String(), a)
	case got.Approval != nil:
		return outcome{}, &fault.Error{
			Kind: fault.Denied, Reason: "approval_required", Op: op,
			User: "Infisical did not store the pair: a change policy wants somebody to approve it (" + p.String() + ").",
			Fix:  "Let the bot's machine identity bypass the policy, or approve the change in Infisical; then press Retry.",
		}
	}
	return got, nil
}

// once makes one call. It returns an error only if there is no answer of
// Infisical's own.
func (c *Client) once(ctx context.Context, op string, s *session, method, path string, data []byte) (outcome, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.api+path, bytes.NewReader(data))
	if err != nil {
		return outcome{}, answer{}, unreachable(op, fault.Invalid, nil)
	}
	req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		c.http.CloseIdleConnections() // the next call must not use a connection that hangs
		return outcome{}, answer{}, notSent(op, true, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost: the body was read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	if err != nil {
		return outcome{}, answer{}, notSent(op, true, err)
	}
	return c.decode(op, resp, raw)
}

// decode reads an answer. Only JSON with status 200 can be a success; a proxy's
// page is none, whatever its status.
func (c *Client) decode(op string, resp *http.Response, raw []byte) (outcome, answer, error) {
	a := answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), c.cfg.Now()), write: true}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := strings.HasSuffix(kind, "json")
	if a.status == http.StatusOK {
		var got outcome
		if !isJSON || json.Unmarshal(raw, &got) != nil {
			return outcome{}, a, badAnswer(op, fault.Unknown, statusError(a))
		}
		return got, a, nil
	}
	var body struct {
		Message any    `json:"message"`
		Error   string `json:"error"`
		ReqID   string `json:"reqId"`
	}
	if isJSON && json.Unmarshal(raw, &body) == nil {
		a.message, _ = body.Message.(string)
		a.name, a.requestID = body.Error, body.ReqID
		return outcome{}, a, nil
	}
	if a.status < http.StatusInternalServerError && a.status != http.StatusTooManyRequests {
		// A firewall's 403 or a proxy's 404 says nothing about Infisical. It
		// did not reach it either, but that is not sure.
		return outcome{}, a, badAnswer(op, fault.Unknown, statusError(a))
	}
	return outcome{}, a, nil
}

// retryAfter reads the header in both of its forms; 0 if it is absent or past.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(v); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
