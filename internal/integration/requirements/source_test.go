package requirements_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// root is the path to the repository's root.
const root = "../../.."

// here is the path of this package's folder from the root.
const here = "internal/integration/requirements/"

// overlayVariable names a file in the format of go build -overlay. Tests that read source
// text must read the current mutant, as the compiler does.
const overlayVariable = "KEYHATCH_OVERLAY"

// readSource returns a file of the repository, or the mutant that replaces it.
func readSource(path string) ([]byte, error) {
	name, err := filepath.Abs(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	overlay := os.Getenv(overlayVariable)
	if overlay == "" {
		return os.ReadFile(name)
	}
	text, err := os.ReadFile(overlay)
	if err != nil {
		return nil, err
	}
	var files struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, err
	}
	if broken, ok := files.Replace[name]; ok {
		name = broken
	}
	return os.ReadFile(name)
}

// walkSource calls visit with each file of the repository that wanted selects,
// by its path from the root.
func walkSource(t *testing.T, wanted func(path string) bool, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if path, err = filepath.Rel(root, path); err == nil && !d.IsDir() && wanted(path) {
			visit(filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A function is a test, or a function of a suite that tests run.
type function struct {
	comments string
	literals []string // includes the names of subtests
}

// testFunctions returns the functions of all tests and suites, by folder.Name. Comments outside
// functions have the key folder/file.
func testFunctions(t *testing.T) map[string]function {
	t.Helper()
	found := map[string]function{}
	walkSource(t, isTest, func(path string) {
		text, err := readSource(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		folder := strings.TrimSuffix(path[:len(path)-len(filepath.Base(path))], "/")
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				found[folder+"."+f.Name.Name] = function{takeComments(file, f), stringLiterals(f)}
			}
		}
		if rest := takeComments(file, file); rest != "" {
			found[path] = function{comments: rest}
		}
	})
	return found
}

func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") ||
		strings.HasSuffix(path, ".go") && (strings.Contains(path, "test/") || strings.HasPrefix(path, "internal/testkit/"))
}

// takeComments removes the comments within and above a function from the file, and returns
// them.
func takeComments(file *ast.File, n ast.Node) string {
	from, to := n.Pos(), n.End()
	if f, ok := n.(*ast.FuncDecl); ok && f.Doc != nil {
		from = f.Doc.Pos()
	} else if n == file {
		from, to = file.FileStart, file.FileEnd
	}
	var taken strings.Builder
	var left []*ast.CommentGroup
	for _, c := range file.Comments {
		if c.Pos() >= from && c.End() <= to {
			taken.WriteString(c.Text())
		} else {
			left = append(left, c)
		}
	}
	file.Comments = left
	return taken.String()
}

func stringLiterals(n ast.Node) (all []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil {
				all = append(all, text)
			}
		}
		return true
	})
	return all
}
