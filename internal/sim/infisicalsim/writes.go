package infisicalsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A change is one secret of a write.
type change struct {
	name    string
	value   string
	valued  bool // the value is there
	comment string
	tagged  bool // it names tags; there are none here
}

// opened decodes a v3 write on one secret and finds its folder.
func (s *Server) opened(r *http.Request, who *identity, op [2]string, valueRequired bool) (scope, *folder, change, *problem) {
	f, p := body(r)
	if p != nil {
		return scope{}, nil, change{}, p
	}
	id, _ := f.optional("workspaceId", "")
	slug, _ := f.optional("workspaceSlug", "")
	env := f.text("environment")
	path, _ := f.optional("secretPath", "/")
	c := change{name: r.PathValue("name")}
	c.comment, _ = f.optional("secretComment", "")
	if valueRequired {
		c.value, c.valued = f.text("secretValue"), true
	} else {
		c.value, c.valued = f.optional("secretValue", "")
	}
	if p := s.invalid(f); p != nil {
		return scope{}, nil, change{}, p
	}
	sc, p := s.scope(who, id, slug, env, path)
	if p != nil {
		return scope{}, nil, change{}, p
	}
	at, p := s.folder(sc, op[0], op[1])
	return sc, at, c, p
}

// createOne follows 03-secrets-crud.json.
func (s *Server) createOne(r *http.Request, who *identity) (any, *problem) {
	sc, f, c, p := s.opened(r, who, [2]string{"Create secret", "CreateSecret"}, s.old)
	switch {
	case p != nil:
		return nil, p
	case sc.rights&Create == 0:
		return nil, forbidden("create")
	case f.find(c.name) != nil:
		return nil, badRequest("Secret already exist")
	case s.approval:
		return s.approvalJSON(), nil
	}
	return map[string]any{"secret": s.written(sc, f.add(c.name, c.value, c.comment, s.now()), true)}, nil
}

// updateOne follows 03-secrets-crud.json. A current server accepts an update
// without a value and makes no version of it.
func (s *Server) updateOne(r *http.Request, who *identity) (any, *problem) {
	sc, f, c, p := s.opened(r, who, [2]string{"UpdateSecret", "UpdateSecret"}, s.old)
	if p != nil {
		return nil, p
	}
	sec := f.find(c.name)
	switch {
	case sec == nil && s.old:
		return nil, missing("Secret not found", "NotFound")
	case sec == nil:
		return nil, missing(fmt.Sprintf("Secret with name '%s' not found", c.name), "NotFound")
	case sc.rights&Edit == 0:
		return nil, forbidden("edit")
	case sec.rotated && c.valued:
		return nil, rotatedSecret(c.name)
	case s.approval:
		return s.approvalJSON(), nil
	}
	if c.valued {
		sec.set(c.value, s.now())
	}
	return map[string]any{"secret": s.written(sc, sec, false)}, nil
}

// deleteOne follows 11-delete-revoke.json.
func (s *Server) deleteOne(r *http.Request, who *identity) (any, *problem) {
	sc, f, c, p := s.opened(r, who, [2]string{"DeleteSecret", "DeleteSecret"}, false)
	if p != nil {
		return nil, p
	}
	sec := f.find(c.name)
	switch {
	case sec == nil:
		return nil, missing("Secret not found", "NotFound")
	case sc.rights&Delete == 0:
		return nil, forbidden("delete")
	case s.approval:
		return s.approvalJSON(), nil
	}
	gone := s.written(sc, sec, false)
	f.secrets = slices.DeleteFunc(f.secrets, func(x *stored) bool { return x == sec })
	return map[string]any{"secret": gone}, nil
}

// batch decodes a write of several secrets. idName is workspaceId in v3 and
// projectId in v4.
func (s *Server) batch(r *http.Request, who *identity, idName string, valueRequired bool) (scope, []change, string, *problem) {
	f, p := body(r)
	if p != nil {
		return scope{}, nil, "", p
	}
	id, slug := "", ""
	if idName == "projectId" {
		id = f.text(idName)
	} else {
		id, _ = f.optional(idName, "")
		slug, _ = f.optional("workspaceSlug", "")
	}
	env := f.text("environment")
	path, _ := f.optional("secretPath", "/")
	mode, _ := f.optional("mode", "failOnNotFound")
	if !s.old && !slices.Contains([]string{"failOnNotFound", "upsert", "ignore"}, mode) {
		f.note("mode", "'failOnNotFound' | 'upsert' | 'ignore'", mode)
	}
	var all []change
	for _, item := range f.list("secrets") {
		c := change{name: item.text("secretKey")}
		c.comment, _ = item.optional("secretComment", "")
		tags, _ := item.values["tagIds"].([]any)
		c.tagged = len(tags) > 0
		if valueRequired {
			c.value, c.valued = item.text("secretValue"), true
		} else {
			c.value, c.valued = item.optional("secretValue", "")
		}
		for _, field := range []string{"secretPath", "newSecretName"} {
			if _, ok := item.values[field]; ok {
				return scope{}, nil, "", &problem{status: http.StatusNotImplemented, message: "not simulated: " + field, name: "Simulator"}
			}
		}
		all = append(all, c)
	}
	if p := s.invalid(f); p != nil {
		return scope{}, nil, "", p
	}
	sc, p := s.scope(who, id, slug, env, path)
	return sc, all, mode, p
}

// createBatch follows 08-batch.json.
func (s *Server) createBatch(r *http.Request, who *identity) (any, *problem) {
	sc, all, _, p := s.batch(r, who, "workspaceId", s.old)
	if p != nil {
		return nil, p
	}
	f, p := s.folder(sc, "Create secret", "CreateManySecret")
	if p != nil {
		return nil, p
	}
	var there []string
	for _, c := range all {
		if f.find(c.name) != nil {
			there = append(there, c.name)
		}
	}
	switch {
	case len(there) > 0 && s.old:
		return nil, badRequest("Secret already exist")
	case len(there) > 0:
		return nil, badRequest("Secret already exist: " + strings.Join(there, ","))
	case sc.rights&Create == 0:
		return nil, forbidden("create")
	case s.approval:
		return s.approvalJSON(), nil
	}
	secrets := make([]any, 0, len(all))
	for _, c := range all {
		secrets = append(secrets, s.written(sc, f.add(c.name, c.value, c.comment, s.now()), true))
	}
	return map[string]any{"secrets": secrets}, nil
}

func (s *Server) updateBatchV3(r *http.Request, who *identity) (any, *problem) {
	sc, all, mode, p := s.batch(r, who, "workspaceId", s.old)
	if p != nil {
		return nil, p
	}
	if s.old { // it has no modes and ignores the field
		mode = "failOnNotFound"
	}
	return s.updateMany(sc, all, mode)
}

func (s *Server) updateBatchV4(r *http.Request, who *identity) (any, *problem) {
	sc, all, mode, p := s.batch(r, who, "projectId", false)
	if p != nil {
		return nil, p
	}
	return s.updateMany(sc, all, mode)
}

// updateMany changes all or nothing. The order of the checks is that of
// Infisical's updateManySecret (commit 0174d361): with failOnNotFound an absent
// name is found before the right to edit is looked at.
func (s *Server) updateMany(sc scope, all []change, mode string) (any, *problem) {
	if !s.old && !slices.Contains(sc.project.Environments, sc.env) {
		return nil, missing(fmt.Sprintf("Environment with slug '%s' in project with ID '%s' not found", sc.env, sc.project.ID), "NotFound")
	}
	f, p := s.folder(sc, "Update secret", "UpdateManySecret")
	if p != nil {
		return nil, p
	}
	if p := s.refused(sc, f, all, mode); p != nil {
		return nil, p
	}
	if s.approval && (mode == "upsert" || slices.ContainsFunc(all, func(c change) bool { return f.find(c.name) != nil })) {
		return s.approvalJSON(), nil
	}
	secrets := []any{}
	for _, c := range all {
		sec := f.find(c.name)
		switch {
		case sec != nil && c.valued:
			sec.set(c.value, s.now())
		case sec == nil && mode == "upsert":
			sec = f.add(c.name, c.value, c.comment, s.now())
		}
		if sec != nil {
			secrets = append(secrets, s.written(sc, sec, false))
		}
	}
	return map[string]any{"secrets": secrets}, nil
}

// refused returns why a batch update is not done.
func (s *Server) refused(sc scope, f *folder, all []change, mode string) *problem {
	var there, absent []string
	for _, c := range all {
		if f.find(c.name) == nil {
			absent = append(absent, c.name)
		} else {
			there = append(there, c.name)
		}
	}
	switch {
	case len(absent) > 0 && mode == "failOnNotFound" && s.old: // it names the wrong ones (08-batch.json)
		return missing("Secret does not exist: "+strings.Join(there, ","), "NotFound")
	case len(absent) > 0 && mode == "failOnNotFound":
		return missing(fmt.Sprintf("Secret does not exist: %s in path %s", strings.Join(absent, ", "), sc.path), "NotFound")
	case len(there) > 0 && sc.rights&Edit == 0:
		return forbidden("edit")
	}
	for _, c := range all {
		if sec := f.find(c.name); sec != nil && sec.rotated && c.valued {
			return rotatedSecret(c.name)
		}
	}
	if slices.ContainsFunc(all, func(c change) bool { return c.tagged }) {
		return missing("Tag not found", "NotFound")
	}
	if mode == "upsert" && len(absent) > 0 && sc.rights&Create == 0 {
		return forbidden("create")
	}
	return nil
}

func rotatedSecret(name string) *problem {
	return badRequest("Cannot update rotated secret name or value: " + name)
}

// approvalJSON is the answer in place of the secret when a change waits for
// approval (Infisical's source; no recording holds one).
func (s *Server) approvalJSON() any {
	now := s.now().Format(time.RFC3339)
	return map[string]any{"approval": map[string]any{
		"id": newID(), "policyId": newID(), "hasMerged": false, "status": "open", "conflicts": nil, "slug": "a1b2c3d4e5",
		"folderId": newID(), "createdAt": now, "updatedAt": now, "isReplicated": nil, "committerUserId": nil,
		"statusChangedByUserId": nil, "bypassReason": nil,
	}}
}
