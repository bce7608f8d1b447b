package app_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
	"github.com/raxx-app/keyturn/internal/state"
)

// A patient is a world with a doctor in it, whose settings a row may change.
type patient struct {
	*world
	app.Doctor
}

func (w *world) patient() *patient {
	cfg := w.config()
	cfg.Tokens.PagerDutyRouting = secret.New(strings.Repeat("a", 32))
	cfg.HTTP.Listen = "127.0.0.1:0"
	p := &patient{world: w}
	p.Config, p.Now = cfg, time.Now
	p.Open = func(ctx context.Context) (*state.Store, error) {
		return state.Open(ctx, state.Config{Path: p.Config.State.Path, ReadOnly: true})
	}
	return p
}

// examine returns what is not in order.
func (p *patient) examine() (all, wrong []app.Finding) {
	p.t.Helper()
	all = p.Examine(p.t.Context())
	for _, f := range all {
		if f.Text == "" || (f.Level != app.LevelOK) != (f.Fix != "") || (f.Level != app.LevelOK) != (f.Reason != "") {
			p.t.Errorf("finding %+v: want a text, and a fix and a reason exactly if it is not ok", f)
		}
		if f.Level != app.LevelOK {
			wrong = append(wrong, f)
			if !strings.HasSuffix(f.Fix, ".") || strings.Contains(f.Fix, "press Retry") || strings.Contains(f.Fix, "the bot tries again") {
				p.t.Errorf("fix = %q, want a full sentence for somebody at a terminal", f.Fix)
			}
		}
	}
	return all, wrong
}

// set returns the first key set's settings.
func (p *patient) set() *config.KeySet { return &p.Config.KeySets[0] }

// otherSlack puts a workspace in the place of the first, made as change says.
func (p *patient) otherSlack(c slacksim.Config) {
	p.slack = simtest.Slack(p.t, c)
	p.fillSlack()
	p.Config.Endpoints.Slack = p.slack.APIURL()
}

// hook adds a receiver of pairs that has another secret if it is not good.
func (p *patient) hook(good bool) {
	sim := simtest.Webhook(p.t, webhooksim.Config{Secret: "whsec-test", Pair: true})
	sim.SetOptions(webhooksim.Options{RejectsSignature: !good})
	p.Config.Tokens.Webhook = secret.New("whsec-test")
	p.set().Consumers = append(p.set().Consumers, config.Consumer{Name: "hook", Kind: config.KindWebhook, URL: sim.HookURL(), Deliver: config.DeliverPair})
}

// made makes a state file, as a first start does.
func (p *patient) made(change func(*state.Store)) {
	p.t.Helper()
	store, err := state.Open(p.t.Context(), state.Config{Path: p.stateFile()})
	p.must(err)
	_, err = state.LoadSealer(p.t.Context(), store, p.Config.Tokens.StateKey)
	p.must(err)
	ext, err := state.NewChain(store).Extend(p.t.Context(), []rotation.Row{{At: time.Now(), Actor: "ada@raxx.app", Action: "secret.rotate.denied"}})
	p.must(err)
	_, err = store.Txn(p.t.Context(), ext.If, ext.Then)
	p.must(err)
	if change != nil {
		change(store)
	}
	p.must(store.Close())
}

// free has the disk of the state have that many bytes left.
func (p *patient) free(bytes uint64) {
	p.Room = func(dir string) (string, uint64, error) { return dir, bytes, nil }
}

// settings makes the file that the settings came from.
func (p *patient) settings(mode os.FileMode) {
	p.Config.File = filepath.Join(p.dir, "bot.yml")
	p.must(os.WriteFile(p.Config.File, nil, mode))
	p.must(os.Chmod(p.Config.File, mode))
}

// A planted is one misconfiguration and what the doctor has to say of it.
type planted struct {
	name        string
	second      bool // there is a second key set
	plant       func(*patient)
	area, check string
	level       app.Level
	reason      string
	fix         string   // part
	also        []string // checks that may be wrong beside it
}

func plantedInSlack() []planted {
	scopes := func(without string) []string {
		all := []string{"commands", "chat:write", "im:write", "usergroups:read", "users:read", "channels:read", "groups:read"}
		return slices.DeleteFunc(all, func(s string) bool { return s == without })
	}
	return []planted{
		{name: "wrong bot token", plant: func(p *patient) { p.Config.Tokens.SlackBot = secret.New("xoxb-wrong") }, area: "slack", check: "bot token", level: app.LevelFail, reason: "invalid_auth", fix: "Set SLACK_BOT_TOKEN to the Bot User OAuth Token", also: []string{"local-dev"}},
		{name: "missing scope chat:write", plant: func(p *patient) { p.otherSlack(slacksim.Config{Scopes: scopes("chat:write")}) }, area: "slack", check: "scope chat:write", level: app.LevelFail, reason: "missing_scope", fix: "Add chat:write in the app's page OAuth & Permissions"},
		{name: "missing scope usergroups:read", plant: func(p *patient) { p.otherSlack(slacksim.Config{Scopes: scopes("usergroups:read")}) }, area: "people", check: "ops", level: app.LevelFail, reason: "missing_scope", fix: "usergroups:read", also: []string{"scope usergroups:read", "on-call"}},
		{name: "wrong app token", plant: func(p *patient) { p.Config.Tokens.SlackApp = secret.New("xapp-wrong") }, area: "slack", check: "app token", level: app.LevelFail, reason: "invalid_auth", fix: "App-Level Tokens"},
		{name: "app token without its scope", plant: func(p *patient) { p.otherSlack(slacksim.Config{AppScopes: []string{"authorizations:read"}}) }, area: "slack", check: "app token", level: app.LevelFail, reason: "missing_scope", fix: "connections:write"},
		{name: "channel not joined", plant: func(p *patient) {
			p.slack.AddChannel(slacksim.Channel{ID: opsChannel, Name: "ops", Members: []string{adaID}})
		}, area: "slack", check: "ops channel", level: app.LevelFail, reason: "not_in_channel", fix: "/invite"},
		{name: "channel unknown", plant: func(p *patient) { p.Config.Slack.OpsChannel = "C0NOWHERE" }, area: "slack", check: "ops channel", level: app.LevelFail, reason: "channel_not_found", fix: "slack.ops_channel"},
		{name: "channel archived", plant: func(p *patient) {
			p.slack.AddChannel(slacksim.Channel{ID: opsChannel, Name: "ops", Archived: true, Members: []string{p.slack.Config().BotUserID}})
		}, area: "slack", check: "ops channel", level: app.LevelFail, reason: "is_archived", fix: "Unarchive"},
		{name: "group unreadable", plant: func(p *patient) { p.Config.Slack.OpsGroup = "S0NOWHERE" }, area: "people", check: "ops", level: app.LevelFail, reason: "no_such_subteam", fix: "slack.ops_group"},
		{name: "nobody in ops", plant: func(p *patient) { p.slack.AddGroup(slacksim.Group{ID: opsGroup}) }, area: "people", check: "ops", level: app.LevelFail, reason: "nobody", fix: "slack.ops_group", also: []string{"on-call"}},
		{name: "on-call not ops", plant: func(p *patient) { p.slack.AddGroup(slacksim.Group{ID: onCall, Users: []string{adaID, bobID}}) }, area: "people", check: "on-call", level: app.LevelFail, reason: "oncall_not_ops", fix: "Add them to ops"},
		{name: "nobody on call", plant: func(p *patient) { p.Config.Slack.OncallGroup = "" }, area: "people", check: "on-call", level: app.LevelWarn, reason: "nobody", fix: "slack.oncall_group"},
		{name: "owner not reachable", plant: func(p *patient) { p.set().Owners = []string{"U0GHOST"} }, area: "people", check: "U0GHOST", level: app.LevelFail, reason: "barred_deleted", fix: "somebody else"},
		{name: "developer deactivated", plant: func(p *patient) { p.slack.ChangeUser(bobID, func(u *slacksim.User) { u.Deleted = true }) }, area: "people", check: bobID, level: app.LevelFail, reason: "barred_deleted", fix: "somebody else", also: []string{"local-dev"}},
		{name: "ops member is a guest", plant: func(p *patient) { p.slack.ChangeUser(eveID, func(u *slacksim.User) { u.Restricted = true }) }, area: "people", check: eveID, level: app.LevelFail, reason: "barred_guest", fix: "somebody else"},
		{name: "developers by somebody else's DM (G6)", plant: func(p *patient) {
			c := p.consumer("local-dev")
			c.Users, c.Channel = nil, "D0AJ7K184TV"
		}, area: "prod", check: "local-dev", level: app.LevelFail, reason: "dm_not_ours", fix: "users: [U…]"},
		{name: "nobody to wake at night", plant: func(p *patient) { p.Config.Tokens.PagerDutyRouting = secret.Text{} }, area: "people", check: "pagerduty", level: app.LevelWarn, reason: "no_pager", fix: "PAGERDUTY_ROUTING_KEY"},
		{name: "a routing key that is none", plant: func(p *patient) { p.Config.Tokens.PagerDutyRouting = secret.New("short") }, area: "people", check: "pagerduty", level: app.LevelFail, reason: "pager_key_odd", fix: "integration key"},
	}
}

// consumer returns the settings of a consumer of the first key set.
func (p *patient) consumer(name string) *config.Consumer {
	list := p.set().Consumers
	return &list[slices.IndexFunc(list, func(c config.Consumer) bool { return c.Name == name })]
}

func plantedInStores() []planted {
	approval := simhttp.Fault{
		Method: http.MethodPatch, Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"approval":{"id":"a","status":"open"}}`,
	}
	access := func(change func(*githubsim.Access)) func(*patient) {
		return func(p *patient) {
			a := githubsim.FullAccess()
			change(&a)
			p.github.Grant(githubToken, a)
		}
	}
	return []planted{
		{name: "Infisical login wrong", plant: func(p *patient) { p.Config.Tokens.InfisicalSecret = secret.New("wrong") }, area: "prod", check: "vault", level: app.LevelFail, reason: "login_refused", fix: "INFISICAL_CLIENT_SECRET"},
		{name: "Infisical: no read", plant: func(p *patient) { p.infisical.Grant(infisicalID, projectID, 0) }, area: "prod", check: "vault", level: app.LevelFail, reason: "permission_denied", fix: "machine identity"},
		{name: "Infisical: values hidden", plant: func(p *patient) {
			p.infisical.Grant(infisicalID, projectID, infisicalsim.Describe|infisicalsim.Edit)
		}, area: "prod", check: "vault", level: app.LevelFail, reason: "value_hidden", fix: "read secret values"},
		{name: "Infisical: no write", plant: func(p *patient) { p.infisical.Deny(http.MethodPatch, "/api/v4/secrets/batch", 0) }, area: "prod", check: "vault", level: app.LevelFail, reason: "permission_denied", fix: "machine identity"},
		{name: "Infisical: wrong environment", plant: func(p *patient) { p.set().Infisical.Environment = "production" }, area: "prod", check: "vault", level: app.LevelFail, reason: "place_not_found", fix: "bot.yml"},
		{name: "secret absent", plant: func(p *patient) { p.infisical.Remove(projectID, "prod", "/", secretName) }, area: "prod", check: "vault", level: app.LevelFail, reason: "names_absent", fix: "names in bot.yml"},
		{name: "change policy", plant: func(p *patient) { p.infisical.Inject(approval) }, area: "prod", check: "vault", level: app.LevelFail, reason: "approval_required", fix: "change policy"},
		{name: "second writer", plant: func(p *patient) {
			p.infisical.AddSync(projectID, infisicalsim.Sync{Name: "to-heroku", Destination: "heroku", Auto: true, Environment: "prod", Path: "/"})
		}, area: "prod", check: "second writer", level: app.LevelWarn, reason: "synced", fix: "switch it off"},
		{name: "Heroku token without its scope", plant: func(p *patient) {
			p.heroku.SetToken(herokuToken, herokusim.Token{Scopes: []string{"read-protected"}})
		}, area: "prod", check: prodApp, level: app.LevelFail, reason: "scope_missing", fix: "write-protected", also: []string{stagingApp}},
		{name: "Heroku token revoked", plant: func(p *patient) { p.heroku.RevokeToken(herokuToken) }, area: "prod", check: prodApp, level: app.LevelFail, fix: "HEROKU_API_KEY", also: []string{stagingApp}},
		{name: "Heroku app absent", plant: func(p *patient) { p.consumer(stagingApp).App = "raxx-api-stagin" }, area: "prod", check: stagingApp, level: app.LevelFail, fix: "bot.yml"},
		{name: "preboot", plant: func(p *patient) { p.heroku.SetPreboot(prodApp, true) }, area: "prod", check: prodApp, level: app.LevelWarn, reason: "preboot", fix: "preboot"},
		{name: "release phase", plant: func(p *patient) {
			p.heroku.SetPhase(stagingApp, herokusim.Phase{On: true})
			p.heroku.Deploy(stagingApp, "dev@raxx.app")
		}, area: "prod", check: stagingApp, level: app.LevelWarn, reason: "release_phase", fix: "release command"},
		{name: "GitHub token unknown", plant: func(p *patient) { p.github.Revoke(githubToken) }, area: "prod", check: "integration-ci", level: app.LevelFail, reason: "bad_token", fix: "GITHUB_TOKEN"},
		{name: "GitHub push false", plant: access(func(a *githubsim.Access) { a.Push, a.Admin = false, false }), area: "prod", check: "integration-ci", level: app.LevelFail, reason: "no_push", fix: "write access to raxx/raptor"},
		{name: "GitHub secrets permission missing", plant: access(func(a *githubsim.Access) { a.Secrets = githubsim.None }), area: "prod", check: "integration-ci", level: app.LevelFail, reason: "forbidden", fix: "Secrets: read and write"},
		{name: "GitHub token expiring", plant: access(func(a *githubsim.Access) { a.Expires = time.Now().Add(72 * time.Hour) }), area: "prod", check: "integration-ci", level: app.LevelWarn, reason: "token_expires", fix: "Make a new token"},
		{name: "environment shadows", plant: func(p *patient) {
			p.github.AddRepo("raxx", "raptor", "paper")
			p.github.SetSecret("raxx", "raptor", "environments/paper", keyIDName, "old", time.Time{})
		}, area: "prod", check: "integration-ci", level: app.LevelWarn, reason: "shadowed", fix: "environment: NAME"},
		{name: "Dependabot shadows", plant: func(p *patient) {
			p.github.SetSecret("raxx", "raptor", githubsim.Dependabot, keyIDName, "old", time.Time{})
		}, area: "prod", check: "integration-ci", level: app.LevelWarn, reason: "shadowed", fix: "dependabot: true"},
		{name: "GitHub cannot be looked at whole", plant: access(func(a *githubsim.Access) { a.Dependabot = githubsim.None }), area: "prod", check: "integration-ci", level: app.LevelWarn, reason: "not_looked_at", fix: "Dependabot secrets"},
		{name: "webhook signature refused", plant: func(p *patient) { p.hook(false) }, area: "prod", check: "hook", level: app.LevelFail, fix: "WEBHOOK_SECRET"},
	}
}

func plantedElsewhere() []planted {
	return []planted{
		{name: "downstream token wrong", plant: func(p *patient) { p.Config.Tokens.Downstream = secret.New("wrong") }, area: "prod", check: prodApp + " verify", level: app.LevelFail, fix: "DOWNSTREAM_TOKEN"},
		{name: "downstream account not ACTIVE", plant: func(p *patient) { p.must(p.alpaca.SetStatus(p.account["prod"], "ACCOUNT_UPDATED")) }, area: "prod", check: "stored pair", level: app.LevelFail, reason: "account_blocked", fix: "Alpaca", also: []string{prodApp + " verify"}},
		{name: "pair rejected", plant: func(p *patient) {
			_, err := p.alpaca.Regenerate(p.account["prod"])
			p.must(err)
		}, area: "prod", check: "stored pair", level: app.LevelFail, reason: "pair_rejected", fix: "/rotate-alpaca-paper reset", also: []string{prodApp + " verify"}},
		{name: "two key sets share an account", second: true, plant: func(p *patient) {
			p.infisical.Put(projectID, "dev", "/", keyIDName, p.old["prod"].ID)
			p.infisical.Put(projectID, "dev", "/", secretName, p.old["prod"].Secret)
		}, area: "dev", check: "account", level: app.LevelFail, reason: "account_shared", fix: "Make one key set of them", also: []string{"backtest", "demo"}},
		{name: "no consumer for backtest (G1)", plant: func(p *patient) {
			p.set().Consumers = slices.DeleteFunc(p.set().Consumers, func(c config.Consumer) bool { return c.Name == "backtest" })
		}, area: "prod", check: "backtest", level: app.LevelWarn, reason: "no_consumer", fix: "covered_by"},
		{name: "no consumer for demo (G1)", plant: func(p *patient) {
			p.set().Consumers = slices.DeleteFunc(p.set().Consumers, func(c config.Consumer) bool { return c.Name == "demo" })
		}, area: "prod", check: "demo", level: app.LevelWarn, reason: "no_consumer", fix: "covered_by"},
		{name: "state readable by others", plant: func(p *patient) {
			p.made(nil)
			p.must(os.Chmod(p.stateFile(), 0o644))
		}, area: "state", check: "file", level: app.LevelFail, reason: "state_readable", fix: "chmod 600"},
		{name: "state where nothing can be written", plant: func(p *patient) {
			p.must(os.WriteFile(filepath.Join(p.dir, "file"), nil, 0o600))
			p.Config.State.Path = filepath.Join(p.dir, "file", "keyturn.db")
		}, area: "state", check: "disk", level: app.LevelFail, reason: "dir_unwritable", fix: "state.path", also: []string{"file"}},
		{name: "disk full", plant: func(p *patient) { p.free(32<<20 - 1) }, area: "state", check: "disk", level: app.LevelFail, reason: "disk_full", fix: "Make room"},
		{name: "disk nearly full", plant: func(p *patient) { p.free(32 << 20) }, area: "state", check: "disk", level: app.LevelWarn, reason: "disk_low", fix: "Make room"},
		{name: "disk filling up", plant: func(p *patient) { p.free(256<<20 - 1) }, area: "state", check: "disk", level: app.LevelWarn, reason: "disk_low", fix: "Make room"},
		{name: "state of something else", plant: func(p *patient) {
			p.must(os.WriteFile(p.stateFile(), []byte(strings.Repeat("not bbolt\n", 4000)), 0o600))
		}, area: "state", check: "file", level: app.LevelFail, reason: "state_foreign", fix: "state.path"},
		{name: "wrong STATE_KEY", plant: func(p *patient) {
			p.made(nil)
			p.Config.Tokens.StateKey, _, _ = state.GenerateIdentity()
		}, area: "state", check: "STATE_KEY", level: app.LevelFail, reason: "state_key_wrong", fix: "STATE_KEY"},
		{name: "a sealed pair that does not open", plant: func(p *patient) {
			p.made(func(store *state.Store) {
				_, err := store.Txn(p.t.Context(), nil, []rotation.Op{{Key: rotation.SealedPrefix + "r000000001/old", Value: []byte("torn")}})
				p.must(err)
			})
		}, area: "state", check: "STATE_KEY", level: app.LevelFail, reason: "sealed_alone", fix: "audit show r000000001"},
		{name: "audit record edited", plant: func(p *patient) {
			p.made(func(store *state.Store) {
				kv, err := store.Get(p.t.Context(), fmt.Sprintf("audit/%016d", 1))
				p.must(err)
				kv.Value = []byte(strings.Replace(string(kv.Value), "ada@", "eve@", 1))
				_, err = store.Txn(p.t.Context(), nil, []rotation.Op{{Key: kv.Key, Value: kv.Value}})
				p.must(err)
			})
		}, area: "state", check: "audit record", level: app.LevelFail, reason: "audit_broken", fix: "bot audit verify"},
		{name: "settings that everybody can change", plant: func(p *patient) { p.settings(0o666) }, area: "machine", check: "settings", level: app.LevelFail, reason: "settings_writable", fix: "chmod go-w"},
		{name: "settings that a group can change", plant: func(p *patient) { p.settings(0o664) }, area: "machine", check: "settings", level: app.LevelWarn, reason: "settings_writable", fix: "chmod go-w"},
		{name: "clock ahead", plant: func(p *patient) { p.Now = func() time.Time { return time.Now().Add(20 * time.Minute) } }, area: "machine", check: "clock", level: app.LevelFail, reason: "clock_skew", fix: "NTP"},
		{name: "clock behind", plant: func(p *patient) { p.Now = func() time.Time { return time.Now().Add(-20 * time.Second) } }, area: "machine", check: "clock", level: app.LevelWarn, reason: "clock_skew", fix: "NTP"},
		{name: "health address in use", plant: func(p *patient) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			p.must(err)
			p.t.Cleanup(func() { _ = ln.Close() })
			p.Config.HTTP.Listen = ln.Addr().String()
		}, area: "machine", check: "http.listen", level: app.LevelFail, reason: "listen", fix: "another program"},
		{name: "health switched off", plant: func(p *patient) { p.Config.HTTP.Listen = "" }, area: "machine", check: "http.listen", level: app.LevelWarn, reason: "health_off", fix: "http.listen"},
		{name: "Alpaca unreachable", plant: func(p *patient) { p.alpaca.SetOutage(alpacasim.Outage(1)) }, area: "prod", check: "stored pair", level: app.LevelFail, reason: "pair_unknown", fix: "endpoints.alpaca", also: []string{prodApp + " verify"}},
	}
}

// The doctor finds each misconfiguration, names the right fix, and finds nothing
// else.
func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	rows := slices.Concat(plantedInSlack(), plantedInStores(), plantedElsewhere())
	if len(rows) < 25 {
		t.Fatalf("%d rows, want at least 25", len(rows))
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newWorld(t, options{second: tt.second}).patient()
			tt.plant(p)
			_, wrong := p.examine()
			hit := false
			for _, f := range wrong {
				switch {
				case f.Area == tt.area && f.Check == tt.check:
					hit = true
					if f.Level != tt.level || tt.reason != "" && f.Reason != tt.reason || !strings.Contains(f.Fix, tt.fix) {
						t.Errorf("finding %+v, want level %s, reason %q and a fix with %q", f, tt.level, tt.reason, tt.fix)
					}
				case !slices.Contains(tt.also, f.Check) && (tt.check != "vault" || f.Reason != "pair_not_read"):
					t.Errorf("finding %+v, want none beside %s of %s", f, tt.check, tt.area)
				}
			}
			if !hit {
				t.Errorf("nothing found about %s of %s; found %+v", tt.check, tt.area, wrong)
			}
		})
	}
}

// Of a good set-up nothing is wrong, and looking changes nothing anywhere.
func TestDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	p := newWorld(t, options{second: true}).patient()
	p.hook(true)
	p.Config.KeySets[1].Consumers = append(p.Config.KeySets[1].Consumers,
		config.Consumer{Name: "backtest", Kind: config.KindCoveredBy, By: "raxx-api-dev"}, config.Consumer{Name: "demo", Kind: config.KindCoveredBy, By: "raxx-api-dev"})
	raptor := simtest.Raptor(t, raptorsim.Config{Vars: func() map[string]string { return p.heroku.Running(prodApp) }, AlpacaURL: p.alpaca.URL(), Token: downstreamToken})
	p.consumer(prodApp).Verify.URL = raptor.URL() + "/api/trading/account"
	before := p.infisical.Secrets(projectID, "prod", "/")
	all, wrong := p.examine()
	if len(wrong) > 0 {
		t.Errorf("found %+v, want nothing", wrong)
	}
	for _, want := range []string{"bot token", "app token", "scopes", "ops channel", "ops", "on-call", "direct messages", "vault", "second writer", "stored pair", prodApp, prodApp + " verify", "integration-ci", "local-dev", "hook", "test order", "file", "STATE_KEY", "disk", "clock", "running bot", "pagerduty", "http.listen"} {
		if !slices.ContainsFunc(all, func(f app.Finding) bool { return f.Check == want }) {
			t.Errorf("no finding about %q", want)
		}
	}
	if n := p.heroku.Count(http.MethodPatch, "") + p.github.Count(http.MethodPut, "") + raptor.Count(http.MethodPost, ""); n != 0 {
		t.Errorf("%d writes, want none", n)
	}
	if diff := cmp.Diff(before, p.infisical.Secrets(projectID, "prod", "/")); diff != "" {
		t.Errorf("what Infisical holds changed (-before +after):\n%s", diff)
	}
	if n := p.slack.Connections(); n != 0 {
		t.Errorf("%d sockets were dialled, want none", n)
	}
	if posts := len(p.slack.Messages(opsChannel)); posts != 0 {
		t.Errorf("%d messages were posted, want none", posts)
	}
	if _, err := os.Stat(p.stateFile()); !os.IsNotExist(err) {
		t.Errorf("look at the state file: %v, want that there is none", err)
	}
}
