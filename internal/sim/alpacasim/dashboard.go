package alpacasim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxAccounts is how many paper accounts one login may have.
const maxAccounts = 3

// Errors of the dashboard.
var (
	ErrNoAccount = errors.New("alpacasim: no such paper account")
	ErrTooMany   = errors.New("alpacasim: a login has at most three paper accounts")
	ErrBadValue  = errors.New("alpacasim: value cannot be used")
)

// A Key is a pair, as the dashboard shows it once.
type Key struct{ ID, Secret string }

// A key is a pair that was made at some time.
type key struct {
	secret string
	owner  *account
	dies   time.Time // zero: alive
}

func (k *key) alive(now time.Time) bool { return k.dies.IsZero() || now.Before(k.dies) }

// A Seed is an account with chosen values; empty fields are filled in.
type Seed struct {
	ID, Number string
	Status     string // ACTIVE
	CreatedAt  time.Time
	Cash       string // USD, decimal text; "100000"
	LastEquity string // USD, decimal text; Cash
	Flags      Flags
}

// OpenNew is "Open New Paper Account" with a starting balance in USD. The new
// account has no keys. ErrTooMany: there are three already.
func (s *Sim) OpenNew(balance string) (Account, error) { return s.AddAccount(Seed{Cash: balance}) }

// AddAccount is OpenNew with chosen values.
func (s *Sim) AddAccount(v Seed) (Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(v)
}

func (s *Sim) add(v Seed) (Account, error) {
	if len(s.accounts) >= maxAccounts {
		return Account{}, ErrTooMany
	}
	if v.Cash == "" {
		v.Cash = "100000"
	}
	if v.LastEquity == "" {
		v.LastEquity = v.Cash
	}
	cash, ok := parse(v.Cash)
	last, ok2 := parse(v.LastEquity)
	if !ok || !ok2 || cash.Sign() < 0 {
		return Account{}, fmt.Errorf("balance %q: %w", v.Cash, ErrBadValue)
	}
	a := &account{
		id: v.ID, number: v.Number, status: v.Status, created: v.CreatedAt,
		cash: cash, lastEquity: last, flags: v.Flags,
	}
	if a.id == "" {
		a.id = newUUID()
	}
	if a.number == "" {
		a.number = newNumber()
	}
	if a.status == "" {
		a.status = "ACTIVE"
	}
	if a.created.IsZero() {
		a.created = s.now()
	}
	s.accounts = append(s.accounts, a)
	return s.view(a), nil
}

// Regenerate is "Regenerate" or "Generate New Keys" on the API Keys panel of an
// account, named by ID or number. The new pair is returned once; the pair
// before it dies after the revocation lag. Each call makes another pair.
// Assumed: one pair for each account, enforced.
func (s *Sim) Regenerate(ref string) (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return Key{}, err
	}
	k := newKey()
	s.kill(a)
	s.keys[k.ID] = &key{secret: k.Secret, owner: a}
	return k, nil
}

// UsePair is Regenerate with a chosen pair.
func (s *Sim) UsePair(ref string, k Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return err
	}
	if k.ID == "" || k.Secret == "" || s.keys[k.ID] != nil {
		return fmt.Errorf("pair is empty or was used before: %w", ErrBadValue)
	}
	s.kill(a)
	s.keys[k.ID] = &key{secret: k.Secret, owner: a}
	return nil
}

// kill ends the account's pair after the lag; s.mu is held.
func (s *Sim) kill(a *account) {
	for _, k := range s.keys {
		if k.owner == a && k.dies.IsZero() {
			k.dies = s.now().Add(s.cfg.RevocationLag)
		}
	}
}

// View is "View" on the API Keys panel: it shows the key ID ("" if there is no
// pair), never the secret, and changes nothing.
func (s *Sim) View(ref string) (keyID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return "", err
	}
	return s.view(a).KeyID, nil
}

// Delete is "Delete Account". Its pair dies after the revocation lag; until
// then the account still answers.
func (s *Sim) Delete(ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(ref)
}

func (s *Sim) remove(ref string) error {
	a, err := s.find(ref)
	if err != nil {
		return err
	}
	s.kill(a)
	s.accounts = slices.DeleteFunc(s.accounts, func(x *account) bool { return x == a })
	return nil
}

// LegacyReset is the old "Reset Paper Account": the account is gone and a new
// one with another identity, $100,000 and no keys takes its place.
func (s *Sim) LegacyReset(ref string) (Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.remove(ref); err != nil {
		return Account{}, err
	}
	return s.add(Seed{})
}

// SetFlags sets the blocks of an account.
func (s *Sim) SetFlags(ref string, f Flags) error {
	return s.change(ref, func(a *account) { a.flags = f })
}

// SetBlocked sets or clears trading_blocked and account_blocked.
func (s *Sim) SetBlocked(ref string, blocked bool) error {
	return s.change(ref, func(a *account) { a.flags.TradingBlocked, a.flags.AccountBlocked = blocked, blocked })
}

// SetStatus sets an account's status: "ACTIVE", "PAPER_ONLY", "ACCOUNT_UPDATED".
func (s *Sim) SetStatus(ref, status string) error {
	return s.change(ref, func(a *account) { a.status = status })
}

// SetRevocationLag changes how long a pair still works after the next
// Regenerate or Delete.
func (s *Sim) SetRevocationLag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.RevocationLag = d
}

// KeyState says whose pair this is and whether it would be accepted now. It
// counts as no call and ignores outages; other simulators ask it.
func (s *Sim) KeyState(keyID, secret string) (accountID string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[keyID]
	if k == nil || k.secret != secret || !k.alive(s.now()) {
		return "", false
	}
	return k.owner.id, true
}

// Accounts returns a copy of every account, in the order they were opened.
func (s *Sim) Accounts() []Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Account, 0, len(s.accounts))
	for _, a := range s.accounts {
		out = append(out, s.view(a))
	}
	return out
}

// Account returns a copy of one account, named by ID or number.
func (s *Sim) Account(ref string) (Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return Account{}, err
	}
	return s.view(a), nil
}

// change applies f to one account.
func (s *Sim) change(ref string, f func(*account)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return err
	}
	f(a)
	return nil
}

// find returns the account with an ID or number; s.mu is held.
func (s *Sim) find(ref string) (*account, error) {
	for _, a := range s.accounts {
		if a.id == ref || a.number == ref {
			return a, nil
		}
	}
	return nil, ErrNoAccount
}

// view copies an account; s.mu is held.
func (s *Sim) view(a *account) Account {
	v := Account{ID: a.id, Number: a.number, Status: a.status, Flags: a.flags, CreatedAt: a.created, Cash: show(a.cash)}
	for id, k := range s.keys {
		if k.owner == a && k.dies.IsZero() {
			v.KeyID = id
		}
	}
	return v
}
