package keyturn_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/raxx-app/keyturn"
)

// scopes maps the methods of [slack.Client] that the bot may call to the bot
// scopes that they need, as the page of each method on docs.slack.dev says. A
// method that is not in it fails the test until it has a line here.
var scopes = map[string][]string{
	"AuthTestContext":            nil,
	"GetConversationInfoContext": {"channels:read", "groups:read"},
	"GetPermalinkContext":        nil,
	"GetUserGroupMembersContext": {"usergroups:read"},
	"GetUserInfoContext":         {"users:read"},
	"OpenConversationContext":    {"im:write"},
	"OpenViewContext":            nil,
	"PostEphemeralContext":       {"chat:write"},
	"PostMessageContext":         {"chat:write"},
	"PublishViewContext":         nil,
	"PushViewContext":            nil,
	"SendMessageContext":         {"chat:write"},
	"StartSocketModeContext":     nil, // the app-level token's scope, which no manifest holds
	"UpdateMessageContext":       {"chat:write"},
	"UpdateViewContext":          nil,
	"DeleteMessageContext":       {"chat:write"},
	"GetUserGroupsContext":       {"usergroups:read"},
	"GetUsersInfoContext":        {"users:read"},
	"GetTeamInfoContext":         {"team:read"},
	"GetUserByEmailContext":      {"users:read.email"},
	"ScheduleMessageContext":     {"chat:write"},
	"GetConversationsContext":    {"channels:read", "groups:read", "im:read", "mpim:read"},
}

// A manifest is what the test compares with the code.
type manifest struct {
	Features struct {
		AppHome struct {
			HomeTab     bool `yaml:"home_tab_enabled"`
			MessagesTab bool `yaml:"messages_tab_enabled"`
		} `yaml:"app_home"`
		SlashCommands []struct {
			Command string `yaml:"command"`
		} `yaml:"slash_commands"`
	} `yaml:"features"`
	OAuth struct {
		Scopes struct {
			Bot  []string `yaml:"bot"`
			User []string `yaml:"user"`
		} `yaml:"scopes"`
	} `yaml:"oauth_config"`
	Settings struct {
		Interactivity struct {
			Enabled bool `yaml:"is_enabled"`
		} `yaml:"interactivity"`
		Events struct {
			Bot []string `yaml:"bot_events"`
		} `yaml:"event_subscriptions"`
		SocketMode bool `yaml:"socket_mode_enabled"`
		OrgDeploy  bool `yaml:"org_deploy_enabled"`
	} `yaml:"settings"`
}

// readManifest decodes manifest.yml.
func readManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	if err := yaml.Unmarshal([]byte(keyturn.Manifest()), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestManifestSchema validates the manifest with Slack's published schemas.
func TestManifestSchema(t *testing.T) {
	for _, version := range []string{"1.0.0", "2.0.0"} {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join("testdata", "contracts", "slack", "manifest.schema."+version+".json")
			compiler := jsonschema.NewCompiler()
			compiler.UseRegexpEngine(compilePattern)
			schema, err := compiler.Compile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(instance(t, keyturn.Manifest())); err != nil {
				t.Errorf("manifest.yml: %v", err)
			}
			// The schema must be able to say no, or the line above means nothing.
			bad := strings.Replace(keyturn.Manifest(), "command: /rotate", "command: rotate", 1)
			if schema.Validate(instance(t, bad)) == nil {
				t.Error("the schema accepts a command without a slash")
			}
		})
	}
}

// A domain is the one pattern of the schemas that Go's regular expressions
// cannot express: it looks ahead for a name that starts with a dot or a dash.
type domain struct{ *regexp.Regexp }

// MatchString implements [jsonschema.Regexp].
func (d domain) MatchString(s string) bool {
	return !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "-") && d.Regexp.MatchString(s)
}

// compilePattern is a [jsonschema.RegexpEngine] that knows [domain].
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	if rest, ok := strings.CutPrefix(pattern, `^(?![\.\-])`); ok {
		re, err := regexp.Compile("^" + rest)
		return domain{re}, err
	}
	return regexp.Compile(pattern)
}

// instance converts YAML to what the validator takes.
func instance(t *testing.T, text string) any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestManifestMatchesCode covers R81 and checks that the manifest asks for
// every scope, command and event that the code uses, and for no other.
func TestManifestMatchesCode(t *testing.T) {
	m, use := readManifest(t), scan(t)
	if diff := cmp.Diff(use.scopes, slices.Sorted(slices.Values(m.OAuth.Scopes.Bot))); diff != "" {
		t.Errorf("bot scopes (-code +manifest.yml):\n%s", diff)
	}
	if len(m.OAuth.Scopes.User) > 0 {
		t.Errorf("user scopes = %v, want none: the bot acts as itself", m.OAuth.Scopes.User)
	}
	var commands []string
	for _, c := range m.Features.SlashCommands {
		commands = append(commands, c.Command)
	}
	if diff := cmp.Diff(use.commands, commands); diff != "" {
		t.Errorf("commands (-code +manifest.yml):\n%s", diff)
	}
	if diff := cmp.Diff(use.events, m.Settings.Events.Bot); diff != "" {
		t.Errorf("events (-code +manifest.yml):\n%s", diff)
	}
	if home := slices.Contains(use.methods, "PublishViewContext"); home != m.Features.AppHome.HomeTab {
		t.Errorf("home tab enabled = %v, but the code publishes one: %v", m.Features.AppHome.HomeTab, home)
	}
	if !m.Settings.SocketMode || !m.Settings.Interactivity.Enabled || !m.Features.AppHome.MessagesTab || m.Settings.OrgDeploy {
		t.Errorf("settings = %+v: want Socket Mode, interactivity and direct messages, and no org-wide install", m.Settings)
	}
}

// A usage is what the code needs of Slack, each list sorted.
type usage struct {
	methods  []string // of slack.Client
	scopes   []string
	commands []string
	events   []string
}

// command is a slash command as a Go constant holds it.
var command = regexp.MustCompile(`^/[a-z][a-z0-9-]*$`)

// scan reads the packages that may speak to Slack.
func scan(t *testing.T) usage {
	t.Helper()
	methods, need, commands, events := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	client := reflect.TypeFor[*slack.Client]()
	inspect(t, []string{"slackbot"}, func(n ast.Node) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		name := sel.Sel.Name
		if _, found := client.MethodByName(name); found && strings.HasSuffix(name, "Context") {
			methods[name] = true
			list, known := scopes[name]
			if !known {
				t.Errorf("internal/slackbot calls %s, whose scopes are not in this test's table", name)
			}
			for _, s := range list {
				need[s] = true
			}
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "slackevents" {
			if event := eventOf(name); event != "" {
				events[event] = true
			}
		}
	})
	inspect(t, []string{"slackbot", "commands", "modals", "rotation"}, func(n ast.Node) {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && command.MatchString(s) {
					commands[s], need["commands"] = true, true
				}
			}
			return true
		})
	})
	return usage{methods: sorted(methods), scopes: sorted(need), commands: sorted(commands), events: sorted(events)}
}

// eventOf returns the event that a name of package slackevents stands for: its
// type ("AppHomeOpenedEvent") or its constant ("AppHomeOpened").
func eventOf(name string) string {
	for event, v := range slackevents.EventsAPIInnerEventMapping {
		if typ := reflect.TypeOf(v).Name(); name == typ || name+"Event" == typ {
			return string(event)
		}
	}
	return ""
}

// inspect calls f with every node of the packages' files, tests excepted.
func inspect(t *testing.T, packages []string, f func(ast.Node)) {
	t.Helper()
	for _, p := range packages {
		files, err := filepath.Glob(filepath.Join("internal", p, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				f(n)
				return true
			})
		}
	}
}

// sorted returns the members of set in order, or nil.
func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// TestScopeTable keeps the table to methods that exist.
func TestScopeTable(t *testing.T) {
	client := reflect.TypeFor[*slack.Client]()
	for name := range scopes {
		if _, ok := client.MethodByName(name); !ok {
			t.Errorf("slack.Client has no method %s", name)
		}
	}
}
