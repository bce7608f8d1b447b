package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// ErrNobody is returned when no bot listens on the socket: there is none, or it
// was left behind by one that was killed.
var ErrNobody = errors.New("no bot answers")

// answerLimit is how long a bot may take to begin its answer.
const answerLimit = 5 * time.Second

// A Client asks the running bot. It may be used from any goroutine.
type Client struct {
	http *http.Client
}

// Dial returns a client for the socket at path. It connects with the first
// question, and anew after the bot was restarted.
func Dial(path string) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "unix", path)
		},
		ResponseHeaderTimeout: answerLimit,
		MaxIdleConns:          2,
	}}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// About returns which bot answers. Like every method it returns an error with
// [ErrNobody] in its chain if none does, and a *fault.Error, Unknown with the
// reason bot_silent, if one is there and does not answer.
func (c *Client) About(ctx context.Context) (About, error) {
	var a About
	err := c.ask(ctx, pathAbout, nil, &a)
	return a, err
}

// Rotations returns the open rotation of each key set, or the last completed.
func (c *Client) Rotations(ctx context.Context) ([]RotationView, error) {
	var list []RotationView
	err := c.ask(ctx, pathRotations, nil, &list)
	return list, err
}

// Audit returns the rows of the audit record after one; 0 means all.
func (c *Client) Audit(ctx context.Context, after uint64) ([]AuditRow, error) {
	body, err := c.get(ctx, pathAudit, url.Values{"after": {strconv.FormatUint(after, 10)}})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var rows []AuditRow
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		rows = append(rows, bytes.Clone(lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read audit rows: %w", err)
	}
	return rows, nil
}

// Verify has the bot check its audit record.
func (c *Client) Verify(ctx context.Context) (Verdict, error) {
	var v Verdict
	err := c.ask(ctx, pathVerify, nil, &v)
	return v, err
}

// Snapshot writes a consistent copy of the state to w. An error means that what
// was written is no copy.
func (c *Client) Snapshot(ctx context.Context, w io.Writer) error {
	body, err := c.get(ctx, pathSnapshot, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("copy state: %w", err)
	}
	return nil
}

func (c *Client) ask(ctx context.Context, path string, query url.Values, into any) error {
	body, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the bot's answer: %w", err)
	}
	return nil
}

// get sends a question and returns the body of a good answer.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "bot", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("ask the bot: %w", errors.Join(ErrNobody, err))
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask the bot: %w", ctx.Err())
	case err != nil:
		return nil, &fault.Error{
			Kind: fault.Unknown, Reason: "bot_silent", Op: "control.Client", Err: err,
			User: "A bot listens on the socket but does not answer.", Fix: "Look at the bot's log. Restarting it loses nothing.",
		}
	case resp.StatusCode == http.StatusOK:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p); err != nil || p.User == "" {
		return nil, &fault.Error{
			Kind: fault.Internal, Reason: "bot_answer", Op: "control.Client", Err: fmt.Errorf("status %d", resp.StatusCode),
			User: "The bot does not know this question.", Fix: "The program and the running bot are of different versions: restart the bot.",
		}
	}
	return nil, &fault.Error{Kind: fault.Kind(p.Kind), Reason: p.Reason, Op: "control.Client", User: p.User, Fix: p.Fix}
}
