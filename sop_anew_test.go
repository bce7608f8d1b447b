package keyturn_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSOPIsWrittenAnew runs the command with which CONTRIBUTING.md has docs/sop.md
// written, in a folder of its own whose document is old: this very program stands
// in for go test, with the flags as they stand there.
func TestSOPIsWrittenAnew(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile("`go test \\. -run (\\w+) (-[a-z.]+)`").FindStringSubmatch(read(t, "CONTRIBUTING.md"))
	if m == nil {
		t.Fatal("CONTRIBUTING.md does not say how docs/sop.md is written anew")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "docs", "sop.md")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# An old text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run", "^"+m[1]+"$", m[2])
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+m[1]) {
		t.Fatalf("%s: %v\n%s", m[0], err, out)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != sopDocument() {
		t.Errorf("%s wrote %d bytes, %v, want what the code says", m[0], len(got), err)
	}
}
