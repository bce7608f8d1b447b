package config

import (
	"slices"
	"strings"
)

// A kindRule says what a consumer of one kind may hold. A new kind is a line in
// kinds, the function that reads it, and its fields in [Consumer].
type kindRule struct {
	name  string
	keys  []string // beside name and kind
	token string   // name of the variable that it needs; "" means none
	read  func(o object, c *Consumer)
	// places names each place that the consumer writes to, so that no two write
	// to the same; nil means that it writes nowhere. An empty word means that a
	// setting is missing, which is said already.
	places func(c Consumer) [][]string
}

// kinds returns the kinds of consumers, in the order of the documentation.
func kinds() []kindRule {
	//nolint:gosec // G101: token is the name of a variable, not a credential
	return []kindRule{
		{name: KindHeroku, keys: []string{"app", "verify"}, token: "HEROKU_API_KEY", read: readHeroku, places: func(c Consumer) [][]string { return [][]string{{c.App}} }},
		{name: KindGitHubActions, keys: []string{"repo", "environment", "dependabot"}, token: "GITHUB_TOKEN", read: readGitHub, places: githubStores},
		{name: KindDevelopers, keys: []string{"users", "channel"}, read: readDevelopers},
		{name: KindWebhook, keys: []string{"url", "deliver"}, token: "WEBHOOK_SECRET", read: readWebhook}, // one receiver may serve several key sets: events name theirs
		{name: KindCoveredBy, keys: []string{"by"}, read: readCoveredBy},
	}
}

// readConsumers reads the list consumers of one key set and compares its
// entries with each other and with those in taken.
func readConsumers(p place, names Infisical, env environment, taken claims) []Consumer {
	items := p.list()
	if len(items) == 0 {
		if !p.given() {
			p.wrong("holds no consumer", "list every place that must receive the pair; see bot.example.yml")
		}
		return nil
	}
	objects, consumers, own := make([]object, len(items)), make([]Consumer, len(items)), claims{}
	for i, item := range items {
		objects[i], consumers[i] = readConsumer(item, names, env, taken)
		c, o := consumers[i], objects[i]
		if before := own.claim(item.path, c.Name); before != "" && c.Name != "" {
			o.at("name").wrong("is the name of "+before+" too", "give each consumer of a key set its own name")
		}
	}
	checkCovered(objects, consumers)
	return consumers
}

// readConsumer reads one entry of consumers.
func readConsumer(p place, names Infisical, env environment, taken claims) (object, Consumer) {
	all := kinds()
	words, known := make([]string, len(all)), []string{"name", "kind"}
	for i, k := range all {
		words[i] = k.name
		known = append(known, k.keys...)
	}
	keys, values := p.mapping()
	o := object{place: p, values: values}
	c := Consumer{Name: o.need("name", entryName)}
	word, _ := scalar(o.at("kind").node)
	at := slices.Index(words, word)
	if at < 0 {
		if !o.at("kind").given() {
			o.at("kind").wrong("is missing", "write one of "+strings.Join(words, ", "))
		} else {
			o.at("kind").wrong("is not a kind of consumer", suggest(word, words))
		}
		o.unknown(keys, known, "is not a setting")
		return o, c
	}
	kind := all[at]
	c.Kind = kind.name
	o.unknown(keys, append([]string{"name", "kind"}, kind.keys...), "is not a setting of kind "+kind.name)
	kind.read(o, &c)
	kind.check(o, c, names, env, taken)
	return o, c
}

// unknown reports the keys that are not in known.
func (o object) unknown(keys, known []string, what string) {
	for _, k := range keys {
		if !slices.Contains(known, k) {
			o.at(k).wrong(what, suggest(k, known))
		}
	}
}

// check reports a token that is not set, and a place that another consumer
// writes to.
func (k kindRule) check(o object, c Consumer, names Infisical, env environment, taken claims) {
	if k.token != "" && env.absent[k.token] {
		env.absent[k.token] = false // once is enough
		o.wrong("needs "+k.token+", which is not set", fixFor(k.token))
	}
	if k.name == KindGitHubActions && (reserved(names.KeyID) || reserved(names.Secret)) {
		o.wrong("cannot hold a secret whose name starts with GITHUB_", "give key_id and secret other names in infisical; GitHub keeps that prefix for itself")
	}
	if k.places == nil || names.KeyID == "" || names.Secret == "" {
		return
	}
	for _, place := range k.places(c) {
		if slices.Contains(place, "") {
			continue
		}
		for _, name := range []string{names.KeyID, names.Secret} {
			if before := taken.claim(o.path, append([]string{k.name, name}, place...)...); before != "" && before != o.path {
				o.wrong("writes to the same place as "+before, "remove one of the two, or give one key set other names in infisical")
				return
			}
		}
	}
}

// reserved reports whether GitHub refuses name for a secret.
func reserved(name string) bool { return strings.HasPrefix(strings.ToUpper(name), "GITHUB_") }

// readHeroku reads what kind heroku has.
func readHeroku(o object, c *Consumer) {
	c.App = o.need("app", herokuApp)
	if !o.at("verify").there() {
		return
	}
	v := o.at("verify").object("url", "field", "want")
	c.Verify = &Verify{URL: v.need("url", webURL), Field: v.need("field", fieldPath), Want: v.need("want", wanted)}
}

// readGitHub reads what kind github_actions has.
func readGitHub(o object, c *Consumer) {
	c.Repo = o.need("repo", githubRepo)
	c.Environment = o.may("environment", "", githubPlace)
	c.Dependabot = o.flag("dependabot")
}

// githubStores returns the stores of secrets; GitHub ignores case in owner, name
// and environment.
func githubStores(c Consumer) [][]string {
	repo := strings.ToLower(c.Repo)
	out := [][]string{{repo, "environment " + strings.ToLower(c.Environment)}}
	if c.Dependabot {
		out = append(out, []string{repo, "dependabot"})
	}
	return out
}

// readDevelopers reads what kind developers has.
func readDevelopers(o object, c *Consumer) {
	c.Users = o.at("users").texts(userID)
	c.Channel = o.may("channel", "", dmID)
	switch users, channel := o.at("users").given(), o.at("channel").given(); {
	case users && channel:
		o.at("channel").wrong("is there beside users", "keep one of the two; users is the better one, each gets a DM")
	case !users && !channel:
		o.at("users").wrong("is missing", "list the people (U…) who keep the pair in a local .env")
	}
}

// readWebhook reads what kind webhook has.
func readWebhook(o object, c *Consumer) {
	c.URL = o.need("url", webURL)
	c.Deliver = o.may("deliver", DeliverNotify, oneOf("is not a way to deliver", DeliverNotify, DeliverPair))
}

// readCoveredBy reads what kind covered_by has.
func readCoveredBy(o object, c *Consumer) { c.By = o.need("by", entryName) }

// checkCovered reports every covered_by that does not end at a consumer that
// does something.
func checkCovered(objects []object, consumers []Consumer) {
	find := func(name string) int {
		return slices.IndexFunc(consumers, func(c Consumer) bool { return c.Name == name })
	}
	for i, c := range consumers {
		if c.Kind != KindCoveredBy || c.By == "" {
			continue
		}
		at := find(c.By)
		if at < 0 {
			objects[i].at("by").wrong("names no consumer of this key set", "write the name of the consumer that reaches this place too")
			continue
		}
		for range consumers { // longer than any chain without a circle
			if at < 0 || consumers[at].Kind != KindCoveredBy {
				break
			}
			at = find(consumers[at].By)
		}
		if at >= 0 && consumers[at].Kind == KindCoveredBy {
			objects[i].at("by").wrong("leads in a circle, so nothing would be updated", "write the name of a consumer of another kind")
		}
	}
}
