package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// notOutside lists packages that decode JSON and speak HTTP, and whose other end
// is nobody outside: each with the reason.
var notOutside = map[string]string{
	"internal/app":          "decodes what it wrote itself; the clients call the services",
	"internal/control":      "both ends are this program, on a socket that only its own user and root can open",
	"internal/sandbox":      "simulated services and this program's own output",
	"internal/sandbox/page": "the page that this program serves on loopback",
}

// A folder is what the tests below know of one package.
type folder struct {
	parsers map[string]bool // exported functions Parse… that take what may come from outside
	fuzzed  map[string]bool // names of fuzz targets, and "TARGET NAME" for each name in a target
	imports map[string]bool // of the files that are no tests
}

// folders reads every package but the simulators, by its path.
func folders(t *testing.T) map[string]*folder {
	t.Helper()
	all := map[string]*folder{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "sim" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, root+string(filepath.Separator))))
		if all[name] == nil {
			all[name] = &folder{map[string]bool{}, map[string]bool{}, map[string]bool{}}
		}
		all[name].read(file, strings.HasSuffix(path, "_test.go"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// read notes what stands in one file.
func (f *folder) read(file *ast.File, test bool) {
	for _, i := range file.Imports {
		if !test {
			f.imports[strings.Trim(i.Path.Value, `"`)] = true
		}
	}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		switch {
		case !ok:
		case test && strings.HasPrefix(fn.Name.Name, "Fuzz"):
			f.fuzzed[fn.Name.Name] = true
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					f.fuzzed[fn.Name.Name+" "+id.Name] = true
				}
				return true
			})
		case !test && strings.HasPrefix(fn.Name.Name, "Parse") && slices.ContainsFunc(fn.Type.Params.List, outside):
			f.parsers[fn.Name.Name] = true
		}
	}
}

// outside reports whether a parameter may hold what came from outside: text,
// bytes, what can be read, or the state of a view.
func outside(p *ast.Field) bool {
	at := p.Type
	if star, ok := at.(*ast.StarExpr); ok {
		at = star.X
	}
	switch at := at.(type) {
	case *ast.Ident:
		return at.Name == "string"
	case *ast.ArrayType:
		elem, ok := at.Elt.(*ast.Ident)
		return ok && elem.Name == "byte"
	case *ast.SelectorExpr:
		return slices.Contains([]string{"ViewState", "Reader", "Text", "RawMessage", "InteractionCallback", "Request", "Response"}, at.Sel.Name)
	}
	return false
}

// TestParsersAreFuzzed: each exported function Parse… that takes what may come
// from outside has a fuzz target of its name, which calls it.
func TestParsersAreFuzzed(t *testing.T) {
	found := 0
	for name, f := range folders(t) {
		for p := range f.parsers {
			found++
			if target := "Fuzz" + p; !f.fuzzed[target+" "+p] {
				t.Errorf("%s.%s has no target %s that calls it", name, p, target)
			}
		}
	}
	if found < 12 {
		t.Errorf("%d parsers found, so the search is broken", found)
	}
}

// TestClientsAreFuzzed: each package that speaks HTTP and decodes JSON has a fuzz
// target.
func TestClientsAreFuzzed(t *testing.T) {
	found := 0
	for name, f := range folders(t) {
		if !strings.HasPrefix(name, "internal/") || !f.imports["net/http"] || !f.imports["encoding/json"] {
			if notOutside[name] != "" {
				t.Errorf("%s needs no exception any more", name)
			}
			continue
		}
		found++
		if fuzzed := len(f.fuzzed) > 0; fuzzed == (notOutside[name] != "") {
			t.Errorf("%s decodes what others answer: fuzzed %t, exception %q; want the one or the other", name, fuzzed, notOutside[name])
		}
	}
	if found < 7 {
		t.Errorf("%d packages found, so the search is broken", found)
	}
}
