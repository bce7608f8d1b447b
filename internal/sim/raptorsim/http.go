package raptorsim

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// noDynos is what Heroku's router answers for an app without web dynos.
const noDynos = `<!DOCTYPE html><html><head><title>Application Error</title></head><body></body></html>`

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	p, o, running := s.current()
	if !running {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, noDynos)
		return
	}
	status, body := s.answer(r, p, o)
	if o.Wrapper != "" {
		body = map[string]any{o.Wrapper: body}
	}
	simhttp.JSON(w, status, body)
}

func (s *Sim) answer(r *http.Request, p pair, o Options) (int, map[string]any) {
	if s.cfg.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.cfg.Token {
		return http.StatusUnauthorized, message("missing or wrong bearer token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/trading/account":
		return s.account(r, p)
	case "POST /api/trading/orders":
		return s.order(r, p, o)
	}
	return http.StatusNotFound, message("no such route")
}

// account asks Alpaca who the pair is.
func (s *Sim) account(r *http.Request, p pair) (int, map[string]any) {
	var acc struct {
		Status      string `json:"status"`
		BuyingPower string `json:"buying_power"`
	}
	switch status := s.alpaca(r, p, http.MethodGet, "/v2/account", nil, &acc); status {
	case http.StatusOK:
		return http.StatusOK, map[string]any{"alpaca_status": acc.Status, "mode": "paper", "buying_power": acc.BuyingPower}
	case http.StatusUnauthorized, http.StatusForbidden:
		return http.StatusBadGateway, map[string]any{"alpaca_status": "UNAUTHORIZED", "error": "alpaca rejected the credentials"}
	default:
		return http.StatusBadGateway, map[string]any{"alpaca_status": "UNAVAILABLE", "error": "alpaca did not answer"}
	}
}

// order places the order. Only mode "paper" goes to the paper host: any other
// mode, or none, is the live book (R57).
func (s *Sim) order(r *http.Request, p pair, o Options) (int, map[string]any) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, message("Content-Type must be application/json")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return http.StatusBadRequest, message("body could not be read")
	}
	var in struct {
		Symbol, Side, Type, Mode string
		Qty                      json.Number
		TimeInForce              string `json:"time_in_force"`
		LimitPrice               string `json:"limit_price"`
		ClientOrderID            string `json:"client_order_id"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return http.StatusBadRequest, message("body is not a JSON order")
	}
	if in.Symbol == "" || in.Side == "" || in.Type == "" || in.TimeInForce == "" || in.Qty == "" || bytes.Contains(raw, []byte(`"qty":"`)) {
		return http.StatusUnprocessableEntity, message("symbol, qty (a number), side, type and time_in_force are needed")
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, raw)
	if in.Mode != "paper" || o.LiveBook {
		placed := LiveOrder{ID: newID(), Symbol: in.Symbol, Side: in.Side, Mode: in.Mode, Qty: in.Qty.String()}
		s.live = append(s.live, placed)
		s.mu.Unlock()
		return http.StatusOK, map[string]any{"id": placed.ID, "status": "accepted"}
	}
	s.mu.Unlock()

	send := map[string]string{"symbol": in.Symbol, "qty": in.Qty.String(), "side": in.Side, "type": in.Type, "time_in_force": in.TimeInForce}
	if in.LimitPrice != "" {
		send["limit_price"] = in.LimitPrice
	}
	if o.ForwardsClientID && in.ClientOrderID != "" {
		send["client_order_id"] = in.ClientOrderID
	}
	var placed struct{ ID, Status string }
	switch status := s.alpaca(r, p, http.MethodPost, "/v2/orders", send, &placed); status {
	case http.StatusOK:
		return http.StatusOK, map[string]any{"id": placed.ID, "status": placed.Status, "mode": "paper"}
	case http.StatusUnauthorized:
		return http.StatusBadGateway, message("alpaca rejected the credentials")
	case http.StatusForbidden, http.StatusUnprocessableEntity:
		return http.StatusUnprocessableEntity, message("alpaca refused the order")
	default:
		return http.StatusBadGateway, message("alpaca did not answer")
	}
}

// alpaca makes one call with the pair and returns its status, 0 if there was
// no answer. out is filled on 200.
func (s *Sim) alpaca(r *http.Request, p pair, method, path string, in, out any) int {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return 0
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(r.Context(), method, s.cfg.AlpacaURL+path, body)
	if err != nil {
		return 0
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("APCA-API-KEY-ID", p.keyID)
	req.Header.Set("APCA-API-SECRET-KEY", p.secret)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK && json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(out) != nil {
		return 0
	}
	return resp.StatusCode
}

func message(text string) map[string]any { return map[string]any{"error": text} }

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
