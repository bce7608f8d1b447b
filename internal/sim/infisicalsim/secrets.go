package infisicalsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// masked is what a reader without the right to see a value gets in its place
// (Infisical's source: INFISICAL_SECRET_VALUE_HIDDEN_MASK).
const masked = "<hidden-by-infisical>"

// A place is one folder of one environment.
type place struct{ env, path string }

type project struct {
	Project
	folders map[place]*folder
}

type folder struct {
	secrets []*stored
	imports []place
}

type stored struct {
	id, name string
	comment  string
	values   []string // of every version, oldest first
	rotated  bool
	created  time.Time
	updated  time.Time
}

func (f *folder) find(name string) *stored {
	for _, s := range f.secrets {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (f *folder) add(name, value, comment string, now time.Time) *stored {
	s := &stored{id: newID(), name: name, comment: comment, values: []string{trim(value)}, created: now, updated: now}
	f.secrets = append(f.secrets, s)
	return s
}

func (s *stored) value() string { return s.values[len(s.values)-1] }
func (s *stored) version() int  { return len(s.values) }

// set makes a new version, also of an equal value (03-secrets-crud.json).
func (s *stored) set(value string, now time.Time) {
	s.values, s.updated = append(s.values, trim(value)), now
}

// trim is the server's: one final newline survives (03-secrets-crud.json).
func trim(v string) string {
	trimmed := strings.TrimSpace(v)
	if strings.HasSuffix(v, "\n") {
		trimmed += "\n"
	}
	return trimmed
}

func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// A scope is what a call is about.
type scope struct {
	project *project
	place
	rights Rights
}

// scope finds the project and what the caller may do in it (05-not-found.json,
// 06-permissions.json).
func (s *Server) scope(who *identity, id, slug, env, path string) (scope, *problem) {
	var p *project
	for _, x := range s.projects {
		if id != "" && x.ID == id || id == "" && slug != "" && x.Slug == slug {
			p = x
		}
	}
	if id == "" && slug == "" {
		return scope{}, badRequest("You must provide workspaceSlug or workspaceId")
	}
	if p == nil {
		return scope{}, missing("Project not found during bot lookup. Are you sure you are using the correct project ID?", "NotFound")
	}
	rights, member := who.Projects[p.ID]
	if !member {
		return scope{}, &problem{
			status: http.StatusForbidden, message: "You are not allowed to access this resource",
			name: "Identity is not a member of the specified project",
		}
	}
	return scope{p, place{env, cleanPath(path)}, rights}, nil
}

// cleanPath drops the final slash, as the server does.
func cleanPath(p string) string {
	if p == "" || p == "/" {
		return "/"
	}
	return "/" + strings.Trim(p, "/")
}

// folder returns the folder or the 404 of an operation on one secret.
func (s *Server) folder(sc scope, oldName, name string) (*folder, *problem) {
	if f := sc.project.folders[sc.place]; f != nil {
		return f, nil
	}
	if s.old {
		return nil, missing("Folder not found for the given environment slug & secret path", oldName)
	}
	return nil, missing(fmt.Sprintf("Folder with path '%s' in environment with slug '%s' not found", sc.path, sc.env), name)
}

// secretJSON is one secret as sent. The keys follow 03-secrets-crud.json; a
// current server drops metadata and adds the last five.
func (s *Server) secretJSON(sc scope, sec *stored) map[string]any {
	m := map[string]any{
		"id": sec.id, "_id": sec.id, "workspace": sc.project.ID, "environment": sc.env,
		"version": sec.version(), "type": "shared", "secretKey": sec.name, "secretValue": sec.value(),
		"secretComment": sec.comment, "secretReminderNote": nil, "secretReminderRepeatDays": nil,
		"skipMultilineEncoding": false,
		"createdAt":             sec.created.Format("2006-01-02T15:04:05.000Z"), "updatedAt": sec.updated.Format("2006-01-02T15:04:05.000Z"),
	}
	if s.old {
		m["metadata"] = nil
		return m
	}
	m["secretValueHidden"] = sc.rights&Read == 0
	if sc.rights&Read == 0 {
		m["secretValue"] = masked
	}
	m["secretPath"] = sc.path
	m["secretMetadata"] = []any{}
	m["isRotatedSecret"] = sec.rotated
	m["rotationId"] = nil
	return m
}

// written is a secret in the answer to a write: its comment is always empty,
// and the recorded server sends no path (03-secrets-crud.json).
func (s *Server) written(sc scope, sec *stored, created bool) map[string]any {
	m := s.secretJSON(sc, sec)
	if !created {
		m["secretComment"] = ""
	}
	return m
}

// listV3 follows 03-secrets-crud.json.
func (s *Server) listV3(r *http.Request, who *identity) (any, *problem) {
	q := r.URL.Query()
	return s.list(q, who, q.Get("workspaceId"), q.Get("include_imports") == "true")
}

func (s *Server) listV4(r *http.Request, who *identity) (any, *problem) {
	q := r.URL.Query()
	if p := s.require(q, "projectId", "environment"); p != nil {
		return nil, p
	}
	// The v4 default of the imports flag is true.
	return s.list(q, who, q.Get("projectId"), q.Get("includeImports") != "false")
}

// list hides a wrong environment or folder behind an empty list
// (05-not-found.json).
func (s *Server) list(q url.Values, who *identity, projectID string, imports bool) (any, *problem) {
	sc, p := s.scope(who, projectID, q.Get("workspaceSlug"), q.Get("environment"), q.Get("secretPath"))
	if p != nil {
		return nil, p
	}
	if sc.rights&Describe == 0 {
		return nil, forbidden(s.readAction())
	}
	answer := map[string]any{"secrets": []any{}}
	f := sc.project.folders[sc.place]
	if f == nil || imports || !s.old {
		answer["imports"] = []any{}
	}
	if f == nil {
		return answer, nil
	}
	answer["secrets"] = s.listed(sc, f)
	if imports {
		blocks := []any{}
		for _, from := range f.imports {
			if other := sc.project.folders[from]; other != nil {
				at := scope{sc.project, from, sc.rights}
				blocks = append(blocks, map[string]any{
					"secretPath": from.path, "environment": from.env, "folderId": newID(), "secrets": s.listed(at, other),
				})
			}
		}
		answer["imports"] = blocks
	}
	return answer, nil
}

// listed returns the folder's secrets, newest first: the order is not by name.
func (s *Server) listed(sc scope, f *folder) []any {
	all := make([]any, 0, len(f.secrets))
	for _, sec := range slices.Backward(f.secrets) {
		m := s.secretJSON(sc, sec)
		m["secretPath"], m["tags"] = sc.path, []any{}
		all = append(all, m)
	}
	return all
}

func (s *Server) getV3(r *http.Request, who *identity) (any, *problem) {
	q := r.URL.Query()
	if p := s.require(q, "environment"); p != nil {
		return nil, p
	}
	return s.get(r, who, q.Get("workspaceId"))
}

func (s *Server) getV4(r *http.Request, who *identity) (any, *problem) {
	q := r.URL.Query()
	if p := s.require(q, "projectId", "environment"); p != nil {
		return nil, p
	}
	return s.get(r, who, q.Get("projectId"))
}

func (s *Server) get(r *http.Request, who *identity, projectID string) (any, *problem) {
	q, name := r.URL.Query(), r.PathValue("name")
	sc, p := s.scope(who, projectID, q.Get("workspaceSlug"), q.Get("environment"), q.Get("secretPath"))
	if p != nil {
		return nil, p
	}
	f, p := s.folder(sc, "Create secret", "GetSecretByName")
	if p != nil {
		return nil, p
	}
	if sc.rights&Describe == 0 {
		return nil, forbidden(s.readAction())
	}
	absent := missing(fmt.Sprintf("Secret with name '%s' not found", name), "NotFound")
	if s.old {
		absent.message = "Secret not found"
	}
	sec := f.find(name)
	if sec == nil {
		return nil, absent
	}
	if v := q.Get("version"); v != "" && !s.old && !s.ignoreVersion {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > sec.version() {
			return nil, absent
		}
		past := *sec
		past.values = sec.values[:n]
		sec = &past
	}
	m := s.secretJSON(sc, sec)
	m["tags"] = []any{}
	return map[string]any{"secret": m}, nil
}

// readAction is the action named in a refused read. That of a current server is
// read from its source, not observed.
func (s *Server) readAction() string {
	if s.old {
		return "read"
	}
	return "describeSecret"
}

// require answers the validation failure of absent query fields.
func (s *Server) require(q url.Values, names ...string) *problem {
	f := fields{values: map[string]any{}, issues: &[]issue{}}
	for _, n := range names {
		if !q.Has(n) {
			f.text(n)
		}
	}
	return s.invalid(f)
}

// secretVersions is for people only (04-versions.json).
func (s *Server) secretVersions(r *http.Request, _ *identity) (any, *problem) {
	return nil, &problem{
		status: http.StatusForbidden, message: "You are not allowed to access this resource",
		name: "Forbidden access to " + r.URL.RequestURI(),
	}
}
