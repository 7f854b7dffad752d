package requirements_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

var (
	// weakening matches exported names that disable a protection.
	weakening = regexp.MustCompile(`(?i)insecure|unsafe|skip(verif|check|auth|tls)|disable(auth|tls|verif|check|csrf)|no(auth|tls|verif|csrf)|allow(http$|plain|any|unsigned)|trustall|bypass`)

	// credential matches names of secrets.
	credential = regexp.MustCompile(`(?i)(secret|password|mackeys?|passphrase)$`)
)

// P-06: the name of an option that disables a protection begins with Insecure, certificates
// are always verified, and no credential is built in.
func TestInsecureIsNamedSo(t *testing.T) {
	t.Parallel()
	files := 0
	walkSource(t, isProduct, func(path string) {
		files++
		text, err := readSource(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range insecureFaults(t, path, string(text)) {
			t.Error(fault)
		}
	})
	if files < 100 {
		t.Errorf("got only %d files of the product", files)
	}
	for source, want := range map[string]string{
		"type Options struct { SkipVerify bool }":               "SkipVerify",
		"type Options struct { InsecureHTTP, AllowPlain bool }": "AllowPlain",
		"func DisableTLS() {}":                                  "DisableTLS",
		"const defaultSecret = `hunter2`":                       "defaultSecret",
		"var o = Options{Secret: `hunter2`}":                    "Secret",
		"var c = tls.Config{InsecureSkipVerify: true}":          "InsecureSkipVerify",
	} {
		if got := strings.Join(insecureFaults(t, "control.go", "package p\n"+source), "\n"); !strings.Contains(got, want) {
			t.Errorf("control: %s: got %q, want %s found", source, got, want)
		}
	}
	if got := insecureFaults(t, "control.go", "package p\ntype Options struct { InsecureHTTP bool; Secret string }"); len(got) > 0 {
		t.Errorf("control: got %q for correct source", got)
	}
}

func insecureFaults(t *testing.T, path, text string) (faults []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	report := func(name, what string) { faults = append(faults, fmt.Sprintf("%s: %s %s", path, name, what)) }
	exported := func(names ...*ast.Ident) {
		for _, n := range names {
			if n.IsExported() && weakening.MatchString(n.Name) && !strings.HasPrefix(n.Name, "Insecure") {
				report(n.Name, "weakens security, so its name must begin with Insecure")
			}
		}
	}
	assigned := func(name string, value ast.Expr) {
		if l, ok := value.(*ast.BasicLit); ok && l.Kind == token.STRING && len(l.Value) > 2 && credential.MatchString(name) {
			report(name, "has a credential in the source")
		}
		if v, ok := value.(*ast.Ident); ok && v.Name == "true" && name == "InsecureSkipVerify" {
			report(name, "is set")
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			exported(n.Name)
		case *ast.TypeSpec:
			exported(n.Name)
		case *ast.Field:
			exported(n.Names...)
		case *ast.ValueSpec:
			exported(n.Names...)
			for i, v := range n.Values {
				assigned(n.Names[min(i, len(n.Names)-1)].Name, v)
			}
		case *ast.KeyValueExpr:
			if k, ok := n.Key.(*ast.Ident); ok {
				assigned(k.Name, n.Value)
			}
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if k, ok := l.(*ast.Ident); ok && i < len(n.Rhs) {
					assigned(k.Name, n.Rhs[i])
				}
			}
		}
		return true
	})
	return faults
}
