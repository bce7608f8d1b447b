package slackbot

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A shop is every service but Slack, as small as it can be: one account with
// one live pair, a vault and one app. It implements the engine's ports.
type shop struct {
	mu     sync.Mutex
	live   string // key ID
	vault  rotation.Stored
	app    rotation.Pair
	writes int           // of the vault
	hold   chan struct{} // the vault's writes wait until it is closed; nil: they do not
	quiet  chan struct{} // the same for probes
}

func newShop() *shop {
	s := &shop{}
	s.vault = rotation.Stored{Pair: s.click("OLD1"), Version: rotation.Version{KeyID: 1, Secret: 1}}
	s.app = s.vault.Pair
	return s
}

// click generates a pair, which kills the one before it.
func (s *shop) click(tail string) rotation.Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = "PK" + strings.Repeat("A", 20) + tail
	return rotation.Pair{KeyID: secret.New(s.live), Secret: secret.New("s" + strings.Repeat("b", 39) + tail)}
}

func (s *shop) Probe(ctx context.Context, p rotation.Pair) rotation.Probe {
	s.mu.Lock()
	quiet := s.quiet
	s.mu.Unlock()
	if quiet != nil {
		select {
		case <-quiet:
		case <-ctx.Done():
			return rotation.Probe{Verdict: rotation.Unknown, Reason: "timeout", At: time.Now()}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.KeyID.Reveal() == s.live {
		return rotation.Probe{Verdict: rotation.Valid, Status: 200, At: time.Now(), Account: rotation.Account{ID: "acc-1", Number: "PA3ABCDE7Q01", Status: "ACTIVE"}}
	}
	return rotation.Probe{Verdict: rotation.Invalid, Reason: "unauthorized", Status: 401, At: time.Now()}
}

func (s *shop) Survey(ctx context.Context, p rotation.Pair) (rotation.Survey, error) {
	if s.Probe(ctx, p).Verdict != rotation.Valid {
		return rotation.Survey{}, &fault.Error{Kind: fault.Denied, Reason: "unauthorized"}
	}
	return rotation.Survey{}, nil
}

func (s *shop) Orders(context.Context, rotation.Pair, string, time.Time) ([]rotation.Order, error) {
	return nil, nil
}
func (s *shop) Cancel(context.Context, rotation.Pair, string) error { return nil }
func (s *shop) Sell(context.Context, rotation.Pair, string, string, string) (rotation.Order, error) {
	return rotation.Order{}, nil
}

// A shopVault is the shop's vault.
type shopVault struct{ *shop }

func (v shopVault) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Ready}
}

func (v shopVault) Read(context.Context) (rotation.Stored, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.vault, nil
}

func (v shopVault) Write(ctx context.Context, p rotation.Pair, _ bool) error {
	v.mu.Lock()
	hold := v.hold
	v.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	v.vault = rotation.Stored{Pair: p, Version: rotation.Version{KeyID: v.vault.Version.KeyID + 1, Secret: v.vault.Version.Secret + 1}}
	return nil
}

// A shopApp is the app that trades with the pair.
type shopApp struct{ *shop }

func (a shopApp) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Ready}
}

func (a shopApp) Apply(_ context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.app = d.Pair
	return rotation.Receipt{}, nil
}

func (a shopApp) Verify(_ context.Context, d rotation.Delivery, _ rotation.Receipt) (rotation.Proof, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return rotation.Proof{Done: a.app.Equal(d.Pair)}, nil
}

// holdVault makes the vault's writes wait until release is called.
func (s *shop) holdVault() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// holdProbes makes Alpaca's answers wait until release is called.
func (s *shop) holdProbes() (release func()) {
	quiet := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = quiet
	return sync.OnceFunc(func() { close(quiet) })
}

// wrote returns how often the vault was written.
func (s *shop) wrote() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}
