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
	"github.com/raxx-app/keyturn/internal/rotation"
)

// ErrNobody is returned when no bot listens on the socket: there is none, or it
// was left behind by one that was killed.
var ErrNobody = errors.New("no bot answers")

// answerLimit is how long a bot may take to begin its answer.
const answerLimit = 5 * time.Second

// A Client asks the running bot. It may be used from any goroutine.
type Client struct {
	http    *http.Client
	patient *http.Client // for what may take long to begin its answer
}

// Dial returns a client for the socket at path. It connects with the first
// question, and anew after the bot was restarted. It talks to nobody but the
// bot's user and root: another one gets nothing, and every method returns a
// *fault.Error, Denied with the reason socket_foreign.
func Dial(path string) *Client {
	client := func(limit time.Duration) *http.Client {
		return &http.Client{Transport: &http.Transport{
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return reach(ctx, path) },
			ResponseHeaderTimeout: limit,
			MaxIdleConns:          2,
		}}
	}
	return &Client{http: client(answerLimit), patient: client(actLimit + answerLimit)}
}

// Close lets go of idle connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.patient.CloseIdleConnections()
}

// About returns which bot answers. Like every method it returns an error with
// [ErrNobody] in its chain if none does, and a *fault.Error, Unknown with the
// reason bot_silent, if one is there and does not answer.
func (c *Client) About(ctx context.Context) (About, error) {
	var a About
	err := c.ask(ctx, pathAbout, &a)
	return a, err
}

// Rotations returns the newest rotation of each key set, open or however it
// ended, and the last completed one if that is another. The newest of a key set
// comes first.
func (c *Client) Rotations(ctx context.Context) ([]RotationView, error) {
	var list []RotationView
	err := c.ask(ctx, pathRotations, &list)
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
	err := c.ask(ctx, pathVerify, &v)
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

// Act does what a person at this terminal asks for. The bot takes who that is from
// the kernel. An error of kind Unknown means that it may have been done: look
// before repeating.
func (c *Client) Act(ctx context.Context, in Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, actLimit+answerLimit)
	defer cancel()
	var a Answer
	body, err := json.Marshal(in)
	if err != nil {
		return a, fmt.Errorf("encode request: %w", err)
	}
	err = c.call(ctx, c.patient, http.MethodPost, pathAct, nil, body, &a)
	return a, err
}

// Paste hands a new pair to the bot, over the socket and nowhere else; reason is
// that of [Request.Reason]. When it returns without an error and without
// problems the pair is sealed and on the disk. The same pair may be handed over
// again at any time.
func (c *Client) Paste(ctx context.Context, id rotation.ID, p rotation.Pair, reason string) (Pasted, error) {
	ctx, cancel := context.WithTimeout(ctx, actLimit+answerLimit)
	defer cancel()
	var out Pasted
	body, err := json.Marshal(paste{Rotation: id, Reason: reason, KeyID: p.KeyID.Reveal(), Secret: p.Secret.Reveal()}) //nolint:forbidigo // the value leaves for the bot here
	if err != nil {
		return out, errors.New("encode pair") // the cause could quote it
	}
	defer clear(body)
	err = c.call(ctx, c.patient, http.MethodPost, pathPaste, nil, body, &out)
	return out, err
}

// ask asks a question without parameters.
func (c *Client) ask(ctx context.Context, path string, into any) error {
	return c.call(ctx, c.http, http.MethodGet, path, nil, nil, into)
}

// call sends one question and decodes a good answer.
func (c *Client) call(ctx context.Context, via *http.Client, method, path string, query url.Values, body []byte, into any) error {
	answer, err := c.send(ctx, via, method, path, query, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(io.LimitReader(answer, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the bot's answer: %w", err)
	}
	return nil
}

// get asks for what is not JSON and returns the body of a good answer.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	return c.send(ctx, c.http, http.MethodGet, path, query, nil)
}

// send sends a question and returns the body of a good answer.
func (c *Client) send(ctx context.Context, via *http.Client, method, path string, query url.Values, body []byte) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "bot", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := via.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("ask the bot: %w", errors.Join(ErrNobody, err))
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask the bot: %w", ctx.Err())
	case fault.ReasonOf(err) == "socket_foreign":
		return nil, fmt.Errorf("ask the bot: %w", err)
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
