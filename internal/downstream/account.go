package downstream

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// An AccountConfig says what to read and what it must be (R52, R53).
type AccountConfig struct {
	Endpoint
	Field string // dotted path of the status; "" means alpaca_status
	Want  string // "" means ACTIVE
}

// An Account reads the consumer's own view of its trading account.
type Account struct {
	caller
	field, want string
}

var _ rotation.Downstream = (*Account)(nil)

// NewAccount returns an Account. It calls nothing.
func NewAccount(cfg AccountConfig) *Account {
	return &Account{caller: newCaller(cfg.Endpoint), field: cmp.Or(cfg.Field, "alpaca_status"), want: cmp.Or(cfg.Want, "ACTIVE")}
}

// Check implements [rotation.Downstream]: one look, and looking again is
// harmless. A status that is not the wanted one is no error but a proof that is
// not done yet, also if it comes with an error code. It returns a *fault.Error
// if the answer has no such status.
func (a *Account) Check(ctx context.Context) (rotation.Proof, error) {
	got := a.call(ctx, http.MethodGet, nil)
	value, isJSON, found := got.field(a.field)
	ok := got.status/100 == 2
	if !found {
		if isJSON && ok {
			return rotation.Proof{}, &fault.Error{
				Kind: fault.Invalid, Reason: "field_missing", Op: "downstream.Check",
				User: fmt.Sprintf("The answer of %s has no text at %s.", a.host, a.field),
				Fix:  "Check verify.field of this consumer in bot.yml: it is the path to the status, with dots (\"data.alpaca_status\").",
			}
		}
		return rotation.Proof{}, a.fault("downstream.Check", got)
	}
	shown := a.shown(value)
	facts := []rotation.Fact{{Name: "downstream", Label: "Downstream account", Value: a.field + " is " + shown}}
	switch {
	case value != a.want:
		return rotation.Proof{Detail: fmt.Sprintf("%s is %s, want %s", a.field, shown, a.want), Facts: facts}, nil
	case !ok:
		return rotation.Proof{Detail: fmt.Sprintf("%s is %s, but with status %d", a.field, shown, got.status), Facts: facts}, nil
	}
	return rotation.Proof{Done: true, Detail: a.field + " is " + shown, Facts: facts}, nil
}
