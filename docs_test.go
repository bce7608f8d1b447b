package keyturn_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
)

// documents are the files that people read.
func documents(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil || len(list) < 7 {
		t.Fatalf("documents %v, %v", list, err)
	}
	return append(list, "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
}

// anchorOf is the anchor that a heading gets.
func anchorOf(heading string) string {
	plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(plain, " ", "-")
}

// TestDocumentLinks: each link inside the project leads to a file, and to a
// heading if it names one.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	links := 0
	for _, path := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, path), -1) {
			target, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %q: %v", path, m[1], err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			links++
			file := filepath.Join(filepath.Dir(path), target.Path)
			if target.Path == "" {
				file = path
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link %q: %v", path, m[1], err)
				continue
			}
			if target.Fragment != "" {
				var anchors []string
				for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read(t, file), -1) {
					anchors = append(anchors, anchorOf(h[1]))
				}
				if !slices.Contains(anchors, target.Fragment) {
					t.Errorf("%s: link %q: no such heading", path, m[1])
				}
			}
		}
	}
	if links < 15 {
		t.Errorf("%d links found, so the search is broken", links)
	}
}

// TestDocumentCommands: each command of the bot that a document names is one,
// with its flags. internal/sandbox runs them: TestSetup, TestOperations and
// TestDocumentedCommands.
func TestDocumentCommands(t *testing.T) {
	t.Parallel()
	named := map[string]string{}
	for _, path := range documents(t) {
		if path == "CHANGELOG.md" {
			continue
		}
		for _, m := range regexp.MustCompile("(?m)(?:^|`|/|sudo |exec |run )bot ((?:audit )?[a-z]+)((?: [^`\n|;&]*)?)").FindAllStringSubmatch(read(t, path), -1) {
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
				named[m[1]+" "+flag] = path
			}
			named[m[1]] = path
		}
	}
	if len(named) < 8 {
		t.Errorf("commands %v, so the search is broken", named)
	}
	for command, path := range named {
		words := strings.Fields(command)
		flag := ""
		if last := words[len(words)-1]; strings.HasPrefix(last, "--") {
			flag, words = last, words[:len(words)-1]
		}
		var out, problems strings.Builder
		code := cli.Run(t.Context(), cli.Env{Args: append(words, "--help"), Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &problems, Now: time.Now})
		if use := "bot " + strings.Join(words, " "); code != 0 || !strings.Contains(out.String(), use) || !strings.Contains(out.String(), flag) {
			t.Errorf("%s names bot %s, which there is not: %d %s", path, command, code, problems.String())
		}
	}
}
