package infisical

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-resty/resty/v2"
)

// A Sync is a copy of a folder that Infisical itself keeps somewhere: a second
// writer beside this bot. The names in it come from outside.
type Sync struct {
	Name        string
	Destination string // "heroku", "github", …
	Auto        bool   // it follows each change by itself
}

// Syncs returns the syncs of the pair's own folder
// (infisical.com/docs/api-reference/endpoints/secret-syncs/list). known is false
// if the server did not say, be it old, or the machine identity not allowed to
// look; that is no error. It changes nothing.
func (v *Vault) Syncs(ctx context.Context) (found []Sync, known bool) {
	const op = "infisical.Syncs"
	type listed struct {
		Syncs *[]struct {
			Name        string `json:"name"`
			Destination string `json:"destination"`
			Auto        bool   `json:"isAutoSyncEnabled"`
			Environment struct {
				Slug string `json:"slug"`
			} `json:"environment"`
			Folder *struct {
				Path string `json:"path"`
			} `json:"folder"`
		} `json:"secretSyncs"`
	}
	if v.client.checked(op, v.place) != nil {
		return nil, false
	}
	got, err := read(ctx, v.client, op, v.place.String(), func(c *resty.Client) (out listed, err error) {
		resp, err := c.R().SetQueryParam("projectId", v.place.ProjectID).Get("/v1/secret-syncs")
		if err == nil && resp.StatusCode() == http.StatusOK {
			err = json.Unmarshal(resp.Body(), &out)
		}
		return out, err
	})
	if err != nil || got.Syncs == nil {
		return nil, false
	}
	for _, s := range *got.Syncs {
		if s.Environment.Slug == v.place.Environment && s.Folder != nil && "/"+strings.Trim(s.Folder.Path, "/") == v.place.Path {
			found = append(found, Sync{Name: s.Name, Destination: s.Destination, Auto: s.Auto})
		}
	}
	return found, true
}
