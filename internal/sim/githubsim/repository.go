package githubsim

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const docsEnvironments = docs + "/deployments/environments#list-environments"

// repository is what the service shows of a repository. No exchange is
// recorded; the fields are those that the schema "repository" of
// openapi.actions-secrets.subset.json requires, and permissions.
func (c *call) repository(r *repo) map[string]any {
	full := r.owner + "/" + r.name
	api := "https://api.github.com/repos/" + full
	made := "2024-01-01T00:00:00Z"
	out := map[string]any{
		"id": r.id, "node_id": fmt.Sprintf("R_%d", r.id), "name": r.name, "full_name": full,
		"private": true, "fork": false, "archived": r.archived, "disabled": false,
		"description": nil, "homepage": nil, "language": nil, "license": nil, "mirror_url": nil,
		"default_branch": "main", "size": 1, "forks": 0, "forks_count": 0, "open_issues": 0,
		"open_issues_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
		"has_downloads": true, "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false,
		"created_at": made, "updated_at": made, "pushed_at": made,
		"url": api, "html_url": "https://github.com/" + full, "svn_url": "https://github.com/" + full,
		"clone_url": "https://github.com/" + full + ".git", "git_url": "git:github.com/" + full + ".git",
		"ssh_url": "git@github.com:" + full + ".git",
		"owner":   owner(r.owner),
		"permissions": map[string]bool{
			"admin": c.token.Admin, "maintain": c.token.Admin, "push": c.token.Push,
			"triage": c.token.Push, "pull": true,
		},
	}
	for what := range strings.FieldsSeq("archive assignees blobs branches collaborators comments commits compare " +
		"contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment " +
		"issue_events issues keys labels languages merges milestones notifications pulls releases stargazers " +
		"statuses subscribers subscription tags teams trees") {
		out[what+"_url"] = api + "/" + what
	}
	return out
}

// environments lists the environments by name. No exchange is recorded; the
// fields are those that the schema "environment" of
// openapi.actions-secrets.subset.json requires. A fine-grained token needs
// Actions: read (docs.github.com/rest/deployments/environments).
func (c *call) environments(r *repo) {
	c.w.Header().Set("X-Accepted-GitHub-Permissions", "actions=read")
	if c.token.Scopes == nil && c.token.Actions == None {
		if c.token.Hide {
			c.notFound(docsEnvironments)
			return
		}
		c.fail(http.StatusForbidden, "Resource not accessible by personal access token", docsEnvironments)
		return
	}
	all := []map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(r.stores)) {
		name, ok := strings.CutPrefix(key, "environments/")
		if !ok {
			continue
		}
		path := r.owner + "/" + r.name
		all = append(all, map[string]any{
			"id": len(all) + 1, "node_id": fmt.Sprintf("EN_%d", len(all)+1), "name": name,
			"url":        "https://api.github.com/repos/" + path + "/environments/" + url.PathEscape(name),
			"html_url":   "https://github.com/" + path + "/deployments/activity_log?environments_filter=" + url.QueryEscape(name),
			"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "protection_rules": []any{}, "deployment_branch_policy": nil,
		})
	}
	total := len(all)
	from, to := c.page(total)
	c.json(http.StatusOK, map[string]any{"total_count": total, "environments": all[from:to]})
}

func owner(login string) map[string]any {
	api := "https://api.github.com/users/" + login
	out := map[string]any{
		"login": login, "id": 1, "node_id": "O_1", "gravatar_id": "", "type": "Organization", "site_admin": false,
		"url": api, "html_url": "https://github.com/" + login, "avatar_url": api + "/avatar",
	}
	for what := range strings.FieldsSeq("events followers following gists organizations received_events repos starred subscriptions") {
		out[what+"_url"] = api + "/" + what
	}
	return out
}
