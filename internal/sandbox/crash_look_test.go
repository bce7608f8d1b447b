package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// What the names of checks begin with where they are about a pair that is lost,
// or an effect that was repeated.
const (
	pairName = "pair: "
	onceName = "once: "
)

// look is what must be true at the end, whatever died.
func (d *drill) look() []Check {
	var c checklist
	ctx := context.Background()
	d.consumersHold(&c, "the new pair", d.key)
	for i := range c {
		c[i].Name = pairName + c[i].Name
	}
	c.add(pairName+"Infisical holds the new pair", d.vaultNear(d.key))
	c.add("Alpaca accepts the new pair, for the same account", d.accepts(d.key))
	c.add("Alpaca rejects the old pair", d.rejects(d.Old))
	c.add("positions and open orders are as before", d.sameBook())
	c.add("no secret went through Slack but in the submissions", d.slackClean(d.key, d.carried))
	c.add("no secret is in the log or in the state file", d.filesClean(d.key))
	c.add("Slack had nothing to complain about", problems(d.complaints()))
	for _, app := range []string{prodApp, stagingApp} {
		if n := len(d.Heroku.Releases(app)); n != 2 {
			c.add(onceName+"a release of "+app, fmt.Errorf("%d releases after the first, want 1", n-1))
		}
	}
	if n := len(d.Raptor.OrderBodies()); n > 1 || d.asked == 0 && n != 1 {
		c.add(onceName+"the test order", fmt.Errorf("%d were sent", n))
	}
	for _, user := range []string{Ada, Bob} {
		dm, _ := d.Slack.DM(user)
		c.add(onceName+"the message to "+d.name(user), d.atMostOnce(d.toldAt(dm)))
	}
	c.add(onceName+"the message in #ops", d.atMostOnce(d.messages()))
	rows, err := d.auditRows(ctx)
	c.add("the audit record can be read", err)
	c.add(onceName+"each act in the audit record", rowsOnce(rows))
	c.add("the audit record is intact, and agrees with the anchor in #ops", d.auditIntact(ctx, d.anchor()))
	for _, text := range d.stuckAt { // only one that was opened and not yet remembered may be dead
		if !empty(text) {
			c.add("open screens live on", fmt.Errorf("one was dead: %s", flat(text)))
		}
	}
	for _, text := range d.misled {
		c.add("nobody is told to do nothing while one is asked", errors.New(flat(text)))
	}
	return c
}

// complaints is what Slack did not like, but for answers of bots that were killed
// while their people had given up waiting.
func (d *drill) complaints() []string {
	left := d.died
	return slices.DeleteFunc(d.Slack.Problems(), func(p string) bool {
		if late := strings.HasSuffix(p, "came after the deadline"); !late || left == 0 {
			return false
		}
		left--
		return true
	})
}

// vaultNear allows one version more than a rotation without a crash makes: the
// last words of a killed bot may come in after its successor has looked.
func (d *drill) vaultNear(key alpacasim.Key) error {
	err := d.vaultHolds(key, 2, 2)
	if err != nil {
		err = d.vaultHolds(key, 3, 3)
	}
	return err
}

// rotatedText is in each message that asks a developer to take the new pair.
// Others come too where somebody lets trading wait.
const rotatedText = "were rotated"

// toldAt returns what the bot asked of a developer in a direct conversation.
func (d *drill) toldAt(dm string) []slacksim.Message {
	return slices.DeleteFunc(d.Slack.Messages(dm), func(m slacksim.Message) bool { return !strings.Contains(m.Text, rotatedText) })
}

// atMostOnce reports more than one message, unless each later one said that it may be
// a repeat when it was posted.
func (d *drill) atMostOnce(list []slacksim.Message) error {
	if len(list) == 0 {
		return errors.New("there is none")
	}
	if len(list) == 1 {
		return nil
	}
	marked := 0
	for _, e := range d.Slack.Journal() {
		if e.Method == "chat.postMessage" && strings.Contains(string(e.Body), "channel="+list[0].Channel+"\n") && strings.Contains(string(e.Body), "may be a repeat") {
			marked++
		}
	}
	if marked < len(list)-1 {
		return fmt.Errorf("%d messages, and %d of them said that they may be a repeat", len(list), marked)
	}
	return nil
}

// rowsOnce looks for acts that the record has more than once.
func rowsOnce(rows []auditRow) error {
	count := map[string]int{}
	for _, r := range rows {
		count[r.Action]++
	}
	want := map[string]int{"secret.rotate.started": 1, "secret.rotate.sealed": 1, "secret.rotate.clicked": 1, "secret.rotate.completed": 1}
	var errs []error
	for action, n := range want {
		if count[action] != n {
			errs = append(errs, fmt.Errorf("%d rows %s, want %d", count[action], action, n))
		}
	}
	return errors.Join(errs...)
}

// TestDrillFinds: a drill in which nothing was rotated is wrong in every way
// that counts.
func TestDrillFinds(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.key = alpacasim.Key{ID: "PKNEVERMADE123456789", Secret: "never-made-by-anybody-anywhere-0000000000"}
	found := map[string]bool{}
	for _, c := range wrongOnes(d.look()) {
		found[c.Name] = true
	}
	for _, want := range []string{
		pairName + "raxx-api-prod runs with the new pair", pairName + "raxx/raptor has the new pair for its workflows", pairName + "Infisical holds the new pair",
		onceName + "a release of raxx-api-prod", onceName + "the test order", onceName + "the message to @bob", onceName + "the message in #ops",
		onceName + "each act in the audit record", "Alpaca accepts the new pair, for the same account", "the audit record is intact, and agrees with the anchor in #ops",
	} {
		if !found[want] {
			t.Errorf("nothing wrong was found by %q", want)
		}
	}
}

// to plays the rotation until ok.
func (d *drill) to(ok func(*drill) bool) error {
	_, err := d.until(moment{name: "where it is wanted", people: ok})
	return err
}

// finish plays the rest.
func (d *drill) finish(t *testing.T) {
	t.Helper()
	if wrong := wrongOnes(d.whole()); len(wrong) > 0 {
		t.Error(d.report(wrong))
	}
}

// hasFields reports whether the view is the one in which keys are typed.
func hasFields(d *drill) bool {
	v, ok := d.Slack.Modal(Ada)
	return ok && hasKeyFields(v)
}
