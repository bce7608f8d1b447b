package alpacasim

import (
	"math/big"
	"strings"
)

// decimals is how many digits after the point an answer shows: Alpaca's
// quantities have up to nine.
const decimals = 9

// show renders r as Alpaca writes money: decimal text without trailing zeros.
func show(r *big.Rat) string {
	s := r.FloatString(decimals)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

// parse reads decimal text. Fractions and exponents are refused.
func parse(s string) (*big.Rat, bool) {
	if s == "" || len(s) > 40 || strings.Trim(s, "0123456789.-") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// must reads decimal text that stands in this package.
func must(s string) *big.Rat {
	r, ok := parse(s)
	if !ok {
		panic("alpacasim: bad decimal " + s)
	}
	return r
}

func zero() *big.Rat { return new(big.Rat) }

func add(a, b *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }

func sub(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }

func mul(a, b *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }

// div returns a/b, and 0 if b is 0.
func div(a, b *big.Rat) *big.Rat {
	if b.Sign() == 0 {
		return zero()
	}
	return new(big.Rat).Quo(a, b)
}

func abs(a *big.Rat) *big.Rat { return new(big.Rat).Abs(a) }
