package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readKeySets reads the list keysets and compares its entries with each other.
func readKeySets(p place, env environment) []KeySet {
	items := p.list()
	if len(items) == 0 {
		if !p.given() {
			p.wrong("holds no key set", "describe at least one: name, infisical and consumers; see bot.example.yml")
		}
		return nil
	}
	taken := claims{}
	sets := make([]KeySet, len(items))
	for i, item := range items {
		sets[i] = readKeySet(item, env, taken)
	}
	return sets
}

// claims maps what may exist only once to the path of the entry that has it.
type claims map[string]string

// claim notes that the entry at path has what, and returns the path of the
// entry that had it before.
func (c claims) claim(path string, what ...string) (before string) {
	key := strings.Join(what, "\x00")
	if before = c[key]; before == "" {
		c[key] = path
	}
	return before
}

// commandWords are what can be typed after the slash command instead of the name
// of a key set. A test of package commands compares them with its verbs.
var commandWords = []string{"status", "history", "check", "reset", "help"}

// readKeySet reads one entry of keysets.
func readKeySet(p place, env environment, taken claims) KeySet {
	o := p.object("name", "cadence", "owners", "infisical", "consumers", "test_order")
	k := KeySet{
		Name:        o.need("name", entryName),
		CadenceDays: 180,
		Owners:      o.at("owners").texts(userID),
		Infisical:   readInfisical(o.at("infisical"), p.path, taken),
		TestOrder:   readTestOrder(o.at("test_order")),
	}
	if before := taken.claim(p.path, "key set", k.Name); before != "" && k.Name != "" {
		o.at("name").wrong("is the name of "+before+" too", "give each key set its own name")
	}
	if slices.Contains(commandWords, k.Name) {
		o.at("name").wrong("is a word of the command /rotate-alpaca-paper", "choose another name, for example "+k.Name+"-keys: the key set could not be named in the command")
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(o.may("cadence", "180d", days), "d")); err == nil {
		k.CadenceDays = n
	}
	k.Consumers = readConsumers(o.at("consumers"), k.Infisical, env, taken)
	return k
}

// readInfisical reads the place of a pair. Two key sets in one place would
// overwrite each other, so no two names may meet.
func readInfisical(p place, keySet string, taken claims) Infisical {
	o := p.object("project_id", "environment", "path", "key_id", "secret")
	if !p.there() {
		p.wrong("is missing", "say where the pair is stored: project_id, environment, path, key_id and secret")
		return Infisical{}
	}
	in := Infisical{
		ProjectID:   o.need("project_id", projectID),
		Environment: o.need("environment", slug),
		Path:        o.may("path", "/", folder),
		KeyID:       o.need("key_id", secretKey),
		Secret:      o.need("secret", secretKey),
	}
	if len(in.Path) > 1 {
		in.Path = strings.TrimSuffix(in.Path, "/")
	}
	if in.ProjectID == "" || in.Environment == "" || in.KeyID == "" || in.Secret == "" {
		return in
	}
	if in.KeyID == in.Secret {
		o.at("secret").wrong("is the same name as key_id", "give the key ID and the secret key two names")
		return in
	}
	for _, name := range []string{in.KeyID, in.Secret} {
		if before := taken.claim(keySet, "infisical", in.ProjectID, in.Environment, in.Path, name); before != "" {
			p.wrong("is the place of "+before+" too: rotating one would overwrite the other", "give each key set its own environment, path or names")
			break
		}
	}
	return in
}

// The rules of a test order. They are narrow on purpose: the order is real on
// the paper book, and nothing may reach a live one.
var (
	orderMode   = matching(`^paper$`, "is not exactly paper", "write mode: paper, so that no real order can be placed")
	orderQty    = matching(`^1$`, "is not 1", "write qty: 1; the test order buys one share, never more")
	orderSymbol = matching(`^[A-Z]{1,5}(\.[A-Z])?$`, "is not the symbol of a US stock", "write for example AAPL")
	orderSide   = matching(`^buy$`, "is not buy", "write side: buy; what it fills is sold again, so a sale would touch a position that was there before")
	orderType   = oneOf("is not an order type that the bot can clean up", "market", "limit")
	orderTime   = oneOf("is not a time in force", "day", "gtc", "opg", "cls", "ioc", "fok")
	orderLimit  = rule{ok: isPrice, what: "is not a price", fix: `write dollars, for example "1.00"; two decimals, or four below one dollar`}
)

// isPrice accepts what Alpaca accepts: more than zero, two decimals, or four
// below one dollar.
func isPrice(s string) bool {
	if !regexp.MustCompile(`^(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?$`).MatchString(s) {
		return false
	}
	whole, cents, _ := strings.Cut(s, ".")
	return (whole != "0" || strings.Trim(cents, "0") != "") && (len(cents) <= 2 || whole == "0")
}

// orderFields are the fields of an order's body.
var orderFields = []string{"symbol", "qty", "side", "type", "limit_price", "time_in_force", "mode"}

// readTestOrder reads the optional block test_order.
func readTestOrder(p place) *TestOrder {
	if !p.there() {
		return nil
	}
	o := p.object("url", "id_field", "client_id_field", "order")
	t := &TestOrder{
		URL:           o.need("url", webURL),
		IDField:       o.may("id_field", "id", fieldPath),
		ClientIDField: o.may("client_id_field", "", fieldName),
		Order:         readOrder(o.at("order")),
	}
	if slices.Contains(orderFields, t.ClientIDField) {
		o.at("client_id_field").wrong("is a field that the order has already", "write client_order_id, or remove the line")
	}
	return t
}

// readOrder reads the body of a test order.
func readOrder(p place) Order {
	if !p.there() {
		p.wrong("is missing", "write {symbol: AAPL, qty: 1, side: buy, type: market, time_in_force: day, mode: paper}")
		return Order{}
	}
	// notional is known here so that its problem says why, not "not a setting".
	o := p.object(append([]string{"notional"}, orderFields...)...)
	order := Order{
		Symbol:      o.need("symbol", orderSymbol),
		Side:        o.need("side", orderSide),
		Type:        o.need("type", orderType),
		TimeInForce: o.need("time_in_force", orderTime),
		Mode:        o.need("mode", orderMode),
		LimitPrice:  o.may("limit_price", "", orderLimit),
	}
	if o.need("qty", orderQty) != "" {
		order.Qty = 1
	}
	if _, has := o.values["notional"]; has {
		o.at("notional").wrong("is an amount of money", "remove it and write qty: 1; a clean-up needs whole shares")
	}
	priced := o.at("limit_price").given()
	if order.Type == "limit" && !priced {
		o.at("limit_price").wrong("is missing", "a limit order needs a price: "+orderLimit.fix)
	}
	if order.Type == "market" && priced {
		o.at("limit_price").wrong("is there although type is market", "remove it, or write type: limit")
	}
	return order
}
