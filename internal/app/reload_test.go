package app_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/config"
)

// R83, 3.4 of the design: settings that are loaded while a rotation is open give
// it the consumers that they name; the pair that was pasted goes on.
func TestReloadWhileOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.toStepTwo()

	cfg := w.config()
	cfg.KeySets[0].Consumers = slices.DeleteFunc(slices.Clone(cfg.KeySets[0].Consumers), func(c config.Consumer) bool { return c.Kind == config.KindGitHubActions })
	b.reload <- cfg
	w.until("the parts have started anew", func() bool { return strings.Count(w.log.String(), `"msg":"bot starts"`) == 2 })
	w.until("a socket is up", func() bool { return strings.Count(w.log.String(), `"msg":"slack socket up"`) == 2 })

	key := w.ada.generate()
	w.ada.finish(key)
	b.stop()
	if value, _, _ := w.github.Secret("raxx", "raptor", keyIDName); value == key.ID {
		t.Error("GitHub has the new key, want not: the consumer was removed")
	}
	_, last := w.left()
	for _, s := range last.Steps {
		for _, it := range s.Items {
			if it.Kind == config.KindGitHubActions && (s.Number == 5 || s.Number == 6) {
				t.Errorf("step %s has %s (%s), want it left out", s.Name, it.Name, it.State)
			}
		}
	}
}

// Settings without the key set of an open rotation, or with another place for
// its pair or for the state, are refused whole, and the bot goes on.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.toStepTwo()
	for _, c := range []struct {
		name, want string
		change     func(*config.Config)
	}{
		{"key set gone", "keyset_gone", func(c *config.Config) { c.KeySets[0].Name = "production" }},
		{"another place", "place_changed", func(c *config.Config) { c.KeySets[0].Infisical.Path = "/elsewhere" }},
		{"another state", "state_moved", func(c *config.Config) { c.State.Path += ".new" }},
	} {
		cfg := w.config()
		cfg.KeySets = slices.Clone(cfg.KeySets)
		c.change(&cfg)
		b.reload <- cfg
		w.until(c.name+" is refused", func() bool { return strings.Contains(w.log.String(), `"reason":"`+c.want+`"`) })
	}
	if n := strings.Count(w.log.String(), `"msg":"bot starts"`); n != 1 {
		t.Errorf("the bot started %d times, want once: nothing was to change", n)
	}
	w.ada.finish(w.ada.generate())
}
