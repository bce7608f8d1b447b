package raptorsim

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const order = `{"symbol":"AAPL","qty":1,"side":"buy","type":"market","time_in_force":"day","mode":"paper"}`

// recorded returns status and body of a recorded exchange with Alpaca.
func recorded(t *testing.T, name string) (int, json.RawMessage) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../testdata/contracts/alpaca", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Response struct {
			Status int
			Body   json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f.Response.Status, f.Response.Body
}

// A world is the service with its environment and an Alpaca that answers with
// recordings: one pair is alive, all others are rejected.
type world struct {
	*Sim
	env    map[string]string
	alive  string
	status string // replaces the recorded account's status
	orders []map[string]string
	now    time.Time
}

func start(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{alive: "PKNEW", env: map[string]string{"ALPACA_PAPER_API_KEY_ID": "PKNEW", "ALPACA_PAPER_API_SECRET_KEY": "sNEW"}, now: time.Unix(1e9, 0)}
	account, accountBody := recorded(t, "account-get-200-recorded")
	placed, placedBody := recorded(t, "orders-post-200-market")
	rejected, rejectedBody := recorded(t, "account-get-401-wrong-secret-2026")
	alpaca := simhttp.New(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("APCA-API-KEY-ID") != w.alive || r.Header.Get("APCA-API-SECRET-KEY") != "s"+w.alive[2:]:
			simhttp.JSON(rw, rejected, rejectedBody)
		case r.Method == http.MethodGet && r.URL.Path == "/v2/account":
			var body map[string]any
			_ = json.Unmarshal(accountBody, &body)
			if w.status != "" {
				body["status"] = w.status
			}
			simhttp.JSON(rw, account, body)
		case r.Method == http.MethodPost && r.URL.Path == "/v2/orders":
			var in map[string]string
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(rw, "bad order", http.StatusUnprocessableEntity)
				return
			}
			w.orders = append(w.orders, in)
			simhttp.JSON(rw, placed, placedBody)
		default:
			http.NotFound(rw, r)
		}
	}))
	if err := alpaca.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alpaca.Close() })
	cfg.Vars = func() map[string]string { return w.env }
	cfg.AlpacaURL, cfg.Now = alpaca.URL(), func() time.Time { return w.now }
	w.Sim = New(cfg)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *world) send(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// TestAccountFollowsPairAndAlpaca: R52. The answer is what Alpaca says of the
// pair that the dynos hold.
func TestAccountFollowsPairAndAlpaca(t *testing.T) {
	w := start(t, Config{})
	steps := []struct {
		name string
		do   func()
		code int
		want string
	}{
		{"live pair", func() {}, 200, `"alpaca_status":"ACTIVE"`},
		{"pair dies", func() { w.alive = "PKOTHER" }, 502, `"alpaca_status":"UNAUTHORIZED"`},
		{"dynos get the new pair", func() {
			w.env = map[string]string{"ALPACA_PAPER_API_KEY_ID": "PKOTHER", "ALPACA_PAPER_API_SECRET_KEY": "sOTHER"}
		}, 200, `"alpaca_status":"ACTIVE"`},
		{"account restricted", func() { w.status = "ACCOUNT_UPDATED" }, 200, `"alpaca_status":"ACCOUNT_UPDATED"`},
		{"wrapped", func() { w.SetOptions(Options{Wrapper: "data"}) }, 200, `{"data":{"alpaca_status"`},
		{"no dyno", func() { w.env = nil }, 503, "Application Error"},
	}
	for _, s := range steps {
		s.do()
		if code, body := w.send(t, "GET", "/api/trading/account", ""); code != s.code || !strings.Contains(body, s.want) {
			t.Errorf("%s: %d %s, want %d with %s", s.name, code, body, s.code, s.want)
		}
	}
}

func TestLag(t *testing.T) {
	w := start(t, Config{})
	w.SetOptions(Options{Lag: time.Minute})
	w.send(t, "GET", "/api/trading/account", "")
	w.alive, w.env = "PKTWO", map[string]string{"ALPACA_PAPER_API_KEY_ID": "PKTWO", "ALPACA_PAPER_API_SECRET_KEY": "sTWO"}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 502}, {59 * time.Second, 502}, {time.Minute, 200}} {
		w.now = time.Unix(1e9, 0).Add(tt.after)
		if code, _ := w.send(t, "GET", "/api/trading/account", ""); code != tt.want {
			t.Errorf("%v after the change: %d, want %d", tt.after, code, tt.want)
		}
	}
}

// TestOrders: R55, R57.
func TestOrders(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		opts       Options
		code       int
		wantSent   map[string]string // to Alpaca
		wantLive   int
	}{
		{"paper", order, Options{}, 200, map[string]string{"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}, 0},
		{"client ID is not forwarded", order[:len(order)-1] + `,"client_order_id":"kt-1"}`, Options{}, 200, map[string]string{"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}, 0},
		{"client ID is forwarded", order[:len(order)-1] + `,"client_order_id":"kt-1","limit_price":"1.00"}`, Options{ForwardsClientID: true}, 200, map[string]string{"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "kt-1", "limit_price": "1.00"}, 0},
		{"no mode is live", strings.Replace(order, `,"mode":"paper"`, "", 1), Options{}, 200, nil, 1},
		{"live mode", strings.Replace(order, "paper", "live", 1), Options{}, 200, nil, 1},
		{"broken service goes live", order, Options{LiveBook: true}, 200, nil, 1},
		{"qty as text", strings.Replace(order, "1", `"1"`, 1), Options{}, 422, nil, 0},
		{"no symbol", `{"qty":1,"mode":"paper"}`, Options{}, 422, nil, 0},
		{"no JSON", `x`, Options{}, 400, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, Config{})
			w.SetOptions(tt.opts)
			code, body := w.send(t, "POST", "/api/trading/orders", tt.body)
			if code != tt.code || (code == 200) != strings.Contains(body, `"id":"`) {
				t.Errorf("answer = %d %s, want %d", code, body, tt.code)
			}
			var want []map[string]string
			if tt.wantSent != nil {
				want = append(want, tt.wantSent)
			}
			if diff := cmp.Diff(want, w.orders); diff != "" {
				t.Errorf("sent to Alpaca (-want +got)\n%s", diff)
			}
			if got := len(w.LiveOrders()); got != tt.wantLive {
				t.Errorf("%d live orders, want %d", got, tt.wantLive)
			}
		})
	}
}

func TestStrict(t *testing.T) {
	w := start(t, Config{Token: "raptor-token"})
	auth := []string{"Authorization", "Bearer raptor-token"}
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"no bearer", "GET", "/api/trading/account", nil, 401},
		{"wrong bearer", "POST", "/api/trading/orders", []string{"Authorization", "Bearer x"}, 401},
		{"bearer", "GET", "/api/trading/account", auth, 200},
		{"unknown path", "GET", "/api/trading/accounts", auth, 404},
		{"wrong verb", "GET", "/api/trading/orders", auth, 404},
		{"form", "POST", "/api/trading/orders", append([]string{"Content-Type", "text/plain"}, auth...), 415},
	} {
		if code, body := w.send(t, tt.method, tt.path, order, tt.headers...); code != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, code, body, tt.want)
		}
	}
	if n := len(w.orders) + len(w.LiveOrders()); n != 0 {
		t.Errorf("%d orders placed, want none", n)
	}
}
