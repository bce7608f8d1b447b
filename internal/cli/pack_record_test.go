package cli

import (
	"bytes"
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestPackOfRecord: R61–R63. What the engine writes when a rotation has completed,
// every field of it, is on the page of its pack and in what audit show prints.
func TestPackOfRecord(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"record_scheduled.json", "record_forced.json"} {
		body, err := os.ReadFile(filepath.Join("..", "rotation", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var context map[string]any
		if err := json.Unmarshal(body, &context); err != nil {
			t.Fatal(err)
		}
		rows := completed()
		for i := range rows {
			if rows[i].Action == "secret.rotate.completed" {
				rows[i].Context = context
			}
		}
		file, all := packOf(t, rows)
		if _, _, err := verifyPack(file, nil); err != nil {
			t.Errorf("%s: verifyPack = %v, want nil", name, err)
		}
		page, _, _ := bytes.Cut(file, []byte(packBegin)) // for people
		seen := html.UnescapeString(string(page))
		shown := ""
		for _, e := range all {
			if e.Row.Action == "secret.rotate.completed" {
				shown = rowLine(e)
			}
		}
		for field, value := range context {
			if !strings.Contains(shown, `"`+field+`":`) {
				t.Errorf("%s: audit show has no %s in %s", name, field, shown)
			}
			if field == "steps" {
				continue
			}
			if !strings.Contains(seen, ">"+field+"<") || !strings.Contains(seen, pretty(value)) {
				t.Errorf("%s: the page does not show %s as %s", name, field, pretty(value))
			}
		}
		for _, step := range rotation.StepNames() {
			if !strings.Contains(seen, string(step)) {
				t.Errorf("%s: the page has no step %s", name, step)
			}
		}
	}
}
