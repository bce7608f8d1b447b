package infisicalsim

import "net/http"

// A Sync is a copy that Infisical keeps of a folder elsewhere.
type Sync struct {
	Name        string
	Destination string // "heroku", "github"
	Auto        bool
	Environment string
	Path        string
}

// AddSync adds syncs to a project.
func (s *Server) AddSync(projectID string, syncs ...Sync) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs[projectID] = append(s.syncs[projectID], syncs...)
}

// listSyncs follows infisical.com/docs/api-reference/endpoints/secret-syncs/list;
// no exchange is recorded. The server recorded in October 2024 has no such route.
func (s *Server) listSyncs(r *http.Request, who *identity) (any, *problem) {
	q := r.URL.Query()
	if p := s.require(q, "projectId"); p != nil {
		return nil, p
	}
	sc, p := s.scope(who, q.Get("projectId"), "", "", "")
	if p != nil {
		return nil, p
	}
	if sc.rights&Describe == 0 {
		return nil, &problem{status: http.StatusForbidden, message: "You are not allowed to read on secret-syncs", name: "PermissionDenied"}
	}
	list := []any{}
	for _, one := range s.syncs[sc.project.ID] {
		list = append(list, map[string]any{
			"name": one.Name, "destination": one.Destination, "isAutoSyncEnabled": one.Auto, "projectId": sc.project.ID,
			"environment": map[string]any{"slug": one.Environment, "name": one.Environment},
			"folder":      map[string]any{"path": one.Path},
			"syncOptions": map[string]any{"initialSyncBehavior": "overwrite-destination", "disableSecretDeletion": true},
		})
	}
	return map[string]any{"secretSyncs": list}, nil
}
