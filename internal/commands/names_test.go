package commands_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/config"
)

// A key set whose name is a word of the command could not be named in it, so
// the settings refuse each of them.
func TestNoKeySetIsCalledLikeAVerb(t *testing.T) {
	const file = `slack: {ops_channel: C0RAXXOPS, ops_group: S0RAXXOPS}
state: {path: keyturn.db}
keysets:
  - name: %s
    infisical: {project_id: 3f1c0000, environment: prod, path: /, key_id: KEY_ID, secret: SECRET_KEY}
    consumers: [{name: devs, kind: developers, users: [U0ADA]}]
`
	problems := func(name string) string {
		path := filepath.Join(t.TempDir(), "bot.yml")
		if err := os.WriteFile(path, fmt.Appendf(nil, file, name), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path, func(string) string { return "" })
		return fmt.Sprint(err)
	}
	const want = "is a word of the command"
	for _, verb := range commands.Verbs() {
		if got := problems(string(verb)); !strings.Contains(got, want) {
			t.Errorf("a key set called %s: problems %q, want one that %q", verb, got, want)
		}
	}
	if got := problems("prod"); strings.Contains(got, want) {
		t.Errorf("a key set called prod: problems %q, want none about its name", got)
	}
}
