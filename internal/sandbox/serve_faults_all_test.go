package sandbox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// simulators are the packages of the services, and where a [World] has each.
var simulators = map[string]string{
	"alpacasim": "Alpaca", "githubsim": "GitHub", "herokusim": "Heroku", "infisicalsim": "Infisical", "pagerdutysim": "Pager",
	"raptorsim": "Raptor", "slacksim": "Slack", "webhooksim": "Backtest",
}

// Why something that the simulators can do is no switch.
const (
	fills    = "it fills the world at the start"
	runs     = "it starts, ends or watches the simulator"
	counts   = "it changes nothing"
	forTests = "it makes chance or a time limit certain, for tests"
	likeness = "it is a shape that the real service may have, and fails nothing"
	another  = "another switch does the same to the bot"
)

// noSwitch are the powers of the simulators that no switch uses.
var noSwitch = map[string]string{
	"alpacasim.AddPosition": fills, "alpacasim.UsePair": fills, "alpacasim.ServeHTTP": runs,
	"alpacasim.SetPrice": "the procedure asks for no price", "alpacasim.SetFlags": another,
	"githubsim.AddRepo": fills, "githubsim.SetSecret": fills, "githubsim.SetKey": another, "githubsim.SetStampOffset": likeness, "githubsim.EchoInvalid": another,
	"herokusim.AddApp": fills, "herokusim.SetRemaining": another, "herokusim.Phase.Takes": another, "herokusim.Boot.Takes": another, "herokusim.Phase.Shows": likeness,
	"infisicalsim.AddProject": fills, "infisicalsim.AddIdentity": fills, "infisicalsim.AddSync": fills, "infisicalsim.Import": fills, "infisicalsim.Advance": "the clock of the page does it",
	"raptorsim.Close": runs, "raptorsim.Options.ForwardsClientID": likeness, "raptorsim.Options.Wrapper": likeness,
	"simhttp.Start": runs, "simhttp.StartAt": runs, "simhttp.Close": runs, "simhttp.Watch": runs, "simhttp.Count": counts,
	"simhttp.SetDelay": another, "simhttp.FailNext": another, "simhttp.ClearFaults": "each switch ends what it began",
	"simhttp.Fault.Hang":  another,
	"slacksim.AddChannel": fills, "slacksim.AddGroup": fills, "slacksim.AddUser": fills, "slacksim.Close": runs,
	"slacksim.Sockets": counts, "slacksim.Connections": counts, "slacksim.DisconnectOne": another, "slacksim.Route": forTests, "slacksim.SetDeadlines": forTests,
	"webhooksim.SetPair": fills,
}

// playedBy are the switches with which a person plays a fault of --fault that no
// switch is named after.
var playedBy = map[string][]string{
	"old-key-lingers": {"alpaca-lag"}, "key-dead": {"key-regenerated"}, "store-anyway": {"account-restricted"}, "superseded": {"key-regenerated"},
	"infisical-500": {"infisical-down"}, "heroku-no-permission": {"heroku-read-only"}, "downstream-not-active": {"downstream-old-pair"},
	"dynos-crash": {"heroku-crash"}, "slow-consumer": {"heroku-starting", "heroku-slow"}, "order-market-closed": {"market-closed"},
	"lost-reply": {"infisical-lost-reply", "heroku-lost-reply", "github-lost-reply"}, "slack-down-after-click": {"slack-down"}, "duplicate-envelopes": {"slack-duplicates"},
}

// byHand are the faults of --fault that a person plays without a switch.
var byHand = map[string]string{
	"live-key": "the dashboard has a LIVE account to generate in", "swapped-paste": "it is a slip of the person's", "same-key": "the old pair is pasted again",
	"rejected-pair": "it is a slip of the person's", "wrong-account": "the dashboard has another paper account", "account-replaced": "the dashboard deletes and opens accounts",
	"other-keysets-account": "the page has one key set", "second-paste": "the person pastes again", "take-over": "the page has a switch for who one is",
	"order-fills": "the market is open as long as nobody closes it", "kill-after-paste": "the page has a button that kills the bot", "kill-in-propagate": "the page has a button that kills the bot",
}

// TestEveryFaultHasASwitch: what the simulators can do to the bot, and every
// fault of --fault, is on the page or has a reason why it is not.
func TestEveryFaultHasASwitch(t *testing.T) {
	t.Parallel()
	used := usedBySwitches(t)
	powers := powers(t)
	if len(powers) < 80 {
		t.Errorf("%d powers of the simulators were found, want all of them", len(powers))
	}
	for _, p := range powers {
		reason, excepted := noSwitch[p]
		switch {
		case used[p] && excepted && reason != "":
			t.Errorf("%s has a switch, and is excepted as well: %s", p, reason)
		case !used[p] && reason == "":
			t.Errorf("%s has no switch and no reason for it", p)
		}
	}
	for p := range noSwitch {
		if !slices.Contains(powers, p) {
			t.Errorf("%s is excepted, and is nothing that a simulator can do", p)
		}
	}
	var switches []string
	for _, s := range append((&World{}).accidents(), append((&keeper{}).botSwitches(), newWorld(t).switches()...)...) {
		switches = append(switches, s.Name)
	}
	named := map[string]bool{}
	for _, f := range Faults() {
		named[f.Name] = true
		has := slices.Contains(switches, f.Name)
		for _, s := range playedBy[f.Name] {
			if has = slices.Contains(switches, s); !has {
				t.Errorf("--fault %s is played by %s, which is no switch", f.Name, s)
			}
		}
		if _, excepted := byHand[f.Name]; has == excepted {
			t.Errorf("--fault %s: has a switch %t, excepted %t; want one of them", f.Name, has, excepted)
		}
	}
	for name := range byHand {
		if !named[name] {
			t.Errorf("%s is excepted, and is no fault", name)
		}
	}
	for name := range playedBy {
		if !named[name] {
			t.Errorf("%s is played by switches, and is no fault", name)
		}
	}
}

// powers returns what can be changed in the simulators: the exported methods that
// return at most an error, a number or a way back, the faults that they offer,
// the values of their kinds of outage, and the fields of their options.
func powers(t *testing.T) (list []string) {
	t.Helper()
	for pkg := range simulators {
		list = append(list, powersOf(t, pkg)...)
	}
	return append(list, powersOf(t, "simhttp")...)
}

func powersOf(t *testing.T, pkg string) (list []string) {
	t.Helper()
	for _, file := range parsed(t, filepath.Join("..", "sim", pkg, "*.go")) {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && changes(d) {
					list = append(list, pkg+"."+d.Name.Name)
				}
			case *ast.GenDecl:
				list = append(list, values(pkg, d)...)
			}
		}
	}
	return list
}

// changes reports whether a function is one that changes a simulator.
func changes(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return d.Type.Results != nil && len(d.Type.Results.List) == 1 && text(d.Type.Results.List[0].Type) == "simhttp.Fault"
	}
	switch strings.TrimPrefix(text(d.Recv.List[0].Type), "*") {
	case "Sim", "Server", "Workspace":
	default:
		return false
	}
	if p := d.Type.Params.List; len(p) > 0 && text(p[0].Type) == "context.Context" {
		return false // a person who waits for something
	}
	if d.Type.Results == nil {
		return true
	}
	r := d.Type.Results.List
	return len(r) == 1 && slices.Contains([]string{"error", "int", "func()"}, text(r[0].Type))
}

// values returns the constants and fields of the types that are faults.
func values(pkg string, d *ast.GenDecl) (list []string) {
	kind := ""
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			if s.Type != nil {
				kind = text(s.Type)
			}
			if d.Tok == token.CONST && (kind == "Outage" || kind == "DisconnectReason") {
				list = append(list, pkg+"."+s.Names[0].Name)
			}
		case *ast.TypeSpec:
			fields, ok := s.Type.(*ast.StructType)
			if !ok || !slices.Contains([]string{"Options", "Phase", "Boot", "Fault"}, s.Name.Name) {
				continue
			}
			for _, f := range fields.Fields.List {
				for _, name := range f.Names {
					list = append(list, pkg+"."+s.Name.Name+"."+name.Name)
				}
			}
		}
	}
	return list
}

// usedBySwitches returns the powers that the switches of the page name.
func usedBySwitches(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for _, file := range append(parsed(t, "serve_faults*.go"), parsed(t, "world_hooks.go")...) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				of := text(n.X)
				for pkg, at := range simulators {
					if of == "w."+at || of == pkg {
						used[pkg+"."+n.Sel.Name] = true
					}
				}
				if of == "sim" || n.Sel.Name == "Inject" {
					used["simhttp."+n.Sel.Name] = true
				}
				switch of { // fields that are set one by one
				case "o":
					used["raptorsim.Options."+n.Sel.Name] = true
				case "now":
					used["webhooksim.Options."+n.Sel.Name] = true
				default:
					used["simhttp.Fault."+n.Sel.Name] = true
				}
			case *ast.CompositeLit:
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						used[text(n.Type)+"."+text(kv.Key)] = true
					}
				}
			}
			return true
		})
	}
	return used
}

// parsed reads the Go files that match, without tests.
func parsed(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// text is an expression of names as it stands in the source, "" for any other.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + text(e.X)
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	case *ast.FuncType:
		if len(e.Params.List) == 0 && e.Results == nil {
			return "func()"
		}
	}
	return ""
}
