package infisical

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
)

func TestSyncs(t *testing.T) {
	heroku := infisicalsim.Sync{Name: "to-heroku", Destination: "heroku", Auto: true, Environment: "prod", Path: "/"}
	elsewhere := []infisicalsim.Sync{{Name: "dev", Destination: "github", Environment: "dev", Path: "/"}, {Name: "other", Destination: "github", Environment: "prod", Path: "/other"}}
	tests := []struct {
		name  string
		setup func(*infisicalsim.Server)
		want  []Sync
		known bool
	}{
		{name: "none", known: true},
		{name: "of other folders", setup: func(s *infisicalsim.Server) { s.AddSync(projectID, elsewhere...) }, known: true},
		{
			name: "of the pair's folder", setup: func(s *infisicalsim.Server) { s.AddSync(projectID, append(elsewhere, heroku)...) },
			want: []Sync{{Name: "to-heroku", Destination: "heroku", Auto: true}}, known: true,
		},
		{name: "an old server", setup: func(s *infisicalsim.Server) { s.AddSync(projectID, heroku); s.SetOld(true) }},
		{name: "not allowed to look", setup: func(s *infisicalsim.Server) { s.Deny(http.MethodGet, "/api/v1/secret-syncs", 0) }},
		{name: "a web page", setup: func(s *infisicalsim.Server) { s.AnswerHTML(http.MethodGet, "/api/v1/secret-syncs", 0) }},
		{name: "a refused login", setup: func(s *infisicalsim.Server) { s.RevokeClientSecret(clientID) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.setup != nil {
				tt.setup(w.sim)
			}
			got, known := w.vault.Syncs(t.Context())
			if diff := cmp.Diff(tt.want, got); diff != "" || known != tt.known {
				t.Errorf("Syncs = known %v, want %v; (-want +got):\n%s", known, tt.known, diff)
			}
		})
	}
}
