package herokusim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// varsMax limits names and values of an app's config vars, in bytes
// (devcenter.heroku.com/articles/config-vars).
const varsMax = 32 << 10

// releaseWarning is the text of X-Heroku-Warning while a release command runs
// (heroku/cli#3345).
const releaseWarning = "Release command executing: this config change will not be available until the command succeeds. Use 'heroku releases:output' to view the log."

var varName = regexp.MustCompile(`^\w+$`)

func getApp(a *app, _ []string, _ *call) (any, *problem) {
	return map[string]any{
		"acm": false, "archived_at": nil, "buildpack_provided_description": "Go",
		"build_stack": ref("heroku-24"), "created_at": stamp(a.created), "generation": ref("cedar"),
		"git_url": "https://git.heroku.com/" + a.name + ".git", "id": a.id, "internal_routing": nil, "maintenance": false,
		"name": a.name, "organization": nil, "owner": map[string]any{"email": "owner@example.com", "id": newID()},
		"region": ref("us"), "released_at": stamp(a.live.created), "repo_size": nil, "slug_size": nil, "space": nil,
		"stack": ref("heroku-24"), "team": nil, "updated_at": stamp(a.live.updated),
		"web_url": "https://" + a.name + ".herokuapp.com/",
	}, nil
}

func getVars(a *app, _ []string, _ *call) (any, *problem) { return a.visible(), nil }

// patchVars merges, deletes nulls, and answers with the whole map as it is
// shown (ConfigVar.Update in platform-api.draft04.schema.json).
func patchVars(a *app, _ []string, c *call) (any, *problem) {
	var raw map[string]any
	if p := c.decode(&raw); p != nil {
		return nil, p
	}
	size := 0
	for k, v := range a.base() {
		if _, replaced := raw[k]; !replaced {
			size += len(k) + len(v)
		}
	}
	change := map[string]*string{}
	for k, v := range raw {
		text, isText := v.(string)
		if !varName.MatchString(k) || (v != nil && !isText) {
			return nil, &problem{status: 422, id: "invalid_params", message: "Config var names must be words and values strings or null."}
		}
		change[k] = nil
		if isText {
			change[k] = &text
			size += len(k) + len(text)
		}
	}
	if len(change) == 0 {
		return a.visible(), nil
	}
	if size > varsMax {
		return nil, &problem{status: 422, id: "invalid_params", message: "Config vars are too large."}
	}
	r := a.change(change, c.user, c.now)
	if r != nil && r.output {
		c.out.Set("X-Heroku-Warning", releaseWarning)
	}
	a.settle(c.now)
	return a.visible(), nil
}

func listReleases(a *app, _ []string, _ *call) (any, *problem) {
	l := list{field: "version", by: []string{"id", "version"}}
	for _, r := range a.releases {
		l.items = append(l.items, item{map[string]string{"id": r.id, "version": strconv.Itoa(r.version)}, a.showRelease(r)})
	}
	return l, nil
}

func getRelease(a *app, args []string, _ *call) (any, *problem) {
	if r := a.findRelease(args[0]); r != nil {
		return a.showRelease(r), nil
	}
	return nil, errNoRelease
}

func getReleaseVars(a *app, args []string, _ *call) (any, *problem) {
	if r := a.findRelease(args[0]); r != nil {
		return r.vars, nil
	}
	return nil, errNoRelease
}

// findRelease accepts an ID, "42" or "v42".
func (a *app) findRelease(identity string) *release {
	for _, r := range a.releases {
		if v := strconv.Itoa(r.version); identity == r.id || identity == v || identity == "v"+v {
			return r
		}
	}
	return nil
}

func (a *app) showRelease(r *release) any {
	var output any
	if r.output {
		output = "https://release-output.heroku.com/streams/" + r.id
	}
	return map[string]any{
		"addon_plan_names": []string{}, "app": a.ref(), "artifacts": []any{}, "created_at": stamp(r.created),
		"current": r == a.live, "description": r.description, "eligible_for_rollback": r.status == succeeded && r != a.live,
		"id": r.id, "output_stream_url": output, "slug": nil, "status": r.status, "updated_at": stamp(r.updated),
		"user": map[string]any{"email": r.user.email, "id": r.user.id}, "version": r.version,
	}
}

func listDynos(a *app, _ []string, _ *call) (any, *problem) {
	l := list{field: "id", by: []string{"id", "name"}}
	for _, d := range a.dynos {
		l.items = append(l.items, item{map[string]string{"id": d.id, "name": d.name}, a.showDyno(d)})
	}
	return l, nil
}

func getDyno(a *app, args []string, _ *call) (any, *problem) {
	for _, d := range a.dynos {
		if d.id == args[0] || d.name == args[0] {
			return a.showDyno(d), nil
		}
	}
	return nil, errNoDyno
}

func (a *app) showDyno(d *dyno) any {
	return map[string]any{
		"app": a.ref(), "attach_url": nil, "command": d.command, "created_at": stamp(d.created), "id": d.id, "name": d.name,
		"release": map[string]any{"id": d.release.id, "version": d.release.version},
		"size":    d.size, "state": d.state, "type": d.kind, "updated_at": stamp(d.updated),
	}
}

func listFormation(a *app, _ []string, _ *call) (any, *problem) {
	l := list{field: "id", by: []string{"id", "type"}}
	for _, p := range a.processes {
		l.items = append(l.items, item{map[string]string{"id": p.id, "type": p.Type}, a.showProcess(p)})
	}
	return l, nil
}

// patchFormation scales one process type. Types of dynos do not mix: the
// refusal is that of recorded-real-exchanges.json.
func patchFormation(a *app, args []string, c *call) (any, *problem) {
	var in struct {
		Quantity *int   `json:"quantity"`
		Size     string `json:"size"`
	}
	if p := c.decode(&in); p != nil {
		return nil, p
	}
	var p *process
	for _, have := range a.processes {
		if have.Type == args[0] || have.id == args[0] {
			p = have
		}
	}
	if p == nil {
		return nil, errNoProcess
	}
	for _, other := range a.processes {
		if in.Size != "" && other != p && other.Quantity > 0 && other.Size != in.Size && (other.Size == "Basic" || in.Size == "Basic") {
			return nil, &problem{status: 422, id: "invalid_params", message: fmt.Sprintf("Cannot use the following dyno types in the same app: %s and %s", other.Size, in.Size)}
		}
	}
	if in.Size != "" {
		p.Size = in.Size
	}
	if in.Quantity != nil {
		p.Quantity = *in.Quantity
	}
	p.updated = c.now
	a.restart(a.live, c.now)
	a.settle(c.now)
	return a.showProcess(p), nil
}

func (a *app) showProcess(p *process) any {
	return map[string]any{
		"app": a.ref(), "command": p.Command, "created_at": stamp(a.created), "dyno_size": ref(p.Size), "id": p.id,
		"quantity": p.Quantity, "size": p.Size, "type": p.Type, "updated_at": stamp(p.updated),
	}
}

// getFeature knows preboot only (AppFeature in heroku-go's schema.json).
func getFeature(a *app, args []string, _ *call) (any, *problem) {
	if args[0] != "preboot" {
		return nil, errNoFeature
	}
	return map[string]any{
		"created_at": stamp(a.created), "description": "Provide seamless web dyno deploys", "display_name": "Preboot",
		"doc_url": "http://devcenter.heroku.com/articles/preboot", "enabled": a.preboot, "feedback_email": "feedback@heroku.com",
		"id": a.id, "name": "preboot", "state": "general", "updated_at": stamp(a.created),
	}, nil
}

func (a *app) ref() any { return map[string]any{"id": a.id, "name": a.name} }

// ref names a thing of Heroku's own that has no story here.
func ref(name string) any {
	return map[string]any{"id": "01234567-89ab-cdef-0123-456789abcdef", "name": name}
}

func stamp(t time.Time) json.RawMessage {
	return json.RawMessage(t.UTC().Format(`"` + time.RFC3339 + `"`))
}
