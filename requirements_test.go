package keyturn_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// covered are the requirements of docs/requirements.md that must be named by a
// test: "R42", or inside a range such as "R61–R63". It is all of them.
const covered = "R1–R90"

var (
	// one or a range: "R61–R63", "R61-R63", "R61–63".
	requirementText = regexp.MustCompile(`\bR(\d{1,2})(?:\s*[–-]\s*R?(\d{1,2}))?\b`)
	// a line of the list: "- R42x Both or neither".
	requirementLine = regexp.MustCompile(`(?m)^- R(\d{1,2})x? `)
)

// TestRequirementsAreNamedByTests: each covered requirement exists, and some
// test says that it is about it.
func TestRequirementsAreNamedByTests(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[int]bool{}
	for _, m := range requirementLine.FindAllStringSubmatch(string(doc), -1) {
		listed[number(t, m[1])] = true
	}
	if len(listed) != 90 {
		t.Errorf("docs/requirements.md lists %d requirements, want 90", len(listed))
	}
	named := map[int]string{}
	for _, path := range testFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range requirements(t, string(text)) {
			named[n] = path
		}
	}
	for _, n := range requirements(t, covered) {
		if !listed[n] {
			t.Errorf("R%d is not in docs/requirements.md", n)
		}
		if named[n] == "" {
			t.Errorf("no test names R%d", n)
		}
	}
	for n, path := range named {
		if !listed[n] {
			t.Errorf("%s names R%d, which is not in docs/requirements.md", path, n)
		}
	}
}

// testFiles returns every test file but this one.
func testFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go") && path != "requirements_test.go":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("%d test files found, so the search is broken", len(files))
	}
	return files
}

// requirements returns the numbers that text names, ranges spelled out.
func requirements(t *testing.T, text string) []int {
	t.Helper()
	var list []int
	for _, m := range requirementText.FindAllStringSubmatch(text, -1) {
		first := number(t, m[1])
		last := first
		if m[2] != "" {
			last = number(t, m[2])
		}
		for n := first; n <= last; n++ {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRequirementsReadsRanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want []int
	}{
		{"R42", []int{42}},
		{"(R8, R9–R11)", []int{8, 9, 10, 11}},
		{"R61-R63 and R2", []int{2, 61, 62, 63}},
		{"ERR42 R R123 sR4 R4x", nil},
	}
	for _, tt := range tests {
		if got := requirements(t, tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("requirements(%q) = %v, want %v", tt.text, got, tt.want)
		}
	}
}
