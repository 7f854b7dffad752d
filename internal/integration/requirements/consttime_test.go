package requirements_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

var (
	// secretName matches names of secrets, and of values that are compared with one.
	secretName = regexp.MustCompile(`(?i)(mac|tag|secret|digest|signature|hash|sum|password|token|pepper)s?$`)

	// comparing lists functions that stop at the first difference.
	comparing = regexp.MustCompile(`^(bytes\.(Equal|Compare|HasPrefix|HasSuffix|Contains|Index|EqualFold)|strings\.(Compare|EqualFold)|slices\.(Equal|Compare|Contains|Index)|reflect\.DeepEqual|maps\.Equal|cmp\.Compare)$`)
)

// plainComparisons lists comparisons from which an attacker learns nothing, with the reason.
var plainComparisons = map[string]string{
	"apikey/create.go: DigestOf(p.Hint) == p.Digest":                              "both are the caller's",
	"apikey/create.go: a.Digest == b.Digest":                                      "the owner's own key, after it was authenticated",
	"apikey/rotate.go: r.made.Digest == next.Digest":                              "the store's response, for a token just generated",
	"apikey/lastused.go: bytes.Compare(a.Digest[:], b.Digest[:])":                 "sorts known keys",
	"apikey/lastused.go: use.Digest == d":                                         "both are of known keys",
	"apikey/lastused.go: a.Digest == b.Digest":                                    "both are of known keys",
	"apikey/revoke.go: r.Digest == before.Digest":                                 "both are of the owner's key, after it was revoked",
	"apikey/token.go: token[:len(f.prefix)] != f.prefix":                          "the prefix is public",
	"apikey/token.go: sum != string(want[:])":                                     "the checksum has no key",
	"apikey/validate.go: r.Digest == d":                                           "differs only if the store is broken",
	"apikey/rollback.go: mark&(1<<tagBits-1) != w.tag()":                          "tells tables apart, and has no key",
	"entitlement/webhook/source.go: slices.Contains(secrets, id)":                 "both are arguments of the host's own call",
	"store/remotestore/lookup.go: r.Digest != d":                                  "differs only if the service is broken",
	"store/remotestore/rotate.go: old.Digest == next.Digest":                      "a record with a token just made",
	"store/remotestore/rotate.go: now.Digest == next.Digest":                      "a record with a token just made",
	"store/remotestore/touch.go: bytes.Compare(uses[i-1].Digest[:], u.Digest[:])": "asks for the order, after the secret was checked",
}

// T-11: no secret is compared with ==, bytes.Equal or another function that stops at the
// first difference.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	files, used := 0, map[string]bool{}
	walkSource(t, isProduct, func(path string) {
		files++
		text, err := readSource(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range secretComparisons(t, path, text) {
			if used[c] = true; plainComparisons[c] == "" {
				t.Errorf("%s\ncompares a possible secret: use subtle.ConstantTimeCompare or hmac.Equal, or add the reason to plainComparisons", c)
			}
		}
	})
	if files < 100 {
		t.Errorf("got only %d files of the product", files)
	}
	for c := range plainComparisons {
		if !used[c] {
			t.Errorf("%s\nis in plainComparisons, but not in the source", c)
		}
	}
}

// isProduct reports whether path is Go code that users link.
func isProduct(path string) bool {
	return strings.HasSuffix(path, ".go") && !isTest(path) && !strings.HasPrefix(path, "examples/") && !strings.HasPrefix(path, "internal/integration/")
}

// secretComparisons returns the comparisons of secrets in a file, as path: text.
func secretComparisons(t *testing.T, path string, text []byte) (found []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	report := func(n ast.Node) {
		var b strings.Builder
		if err := printer.Fprint(&b, fset, n); err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprintf("%s: %s", path, b.String()))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && !isConstant(n.X) && !isConstant(n.Y) && (isSecret(n.X) || isSecret(n.Y)) {
				report(n)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) >= 2 {
				if p, ok := f.X.(*ast.Ident); ok && comparing.MatchString(p.Name+"."+f.Sel.Name) && (isSecret(n.Args[0]) || isSecret(n.Args[1])) {
					report(n)
				}
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && isSecret(n.Tag) {
				report(n.Tag)
			}
		}
		return true
	})
	return found
}

// isConstant reports whether a comparison with e reveals nothing about a secret: e is nil, a
// literal, true, false or a length.
func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	case *ast.ParenExpr:
		return isConstant(e.X)
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.Ident)
		return ok && (f.Name == "len" || f.Name == "cap") || len(e.Args) == 1 && isConstant(e.Args[0])
	}
	return false
}

// isSecret reports whether e has the name of a secret, or is a part or a conversion of such
// a value.
func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.ParenExpr:
		return isSecret(e.X)
	case *ast.StarExpr:
		return isSecret(e.X)
	case *ast.UnaryExpr:
		return isSecret(e.X)
	case *ast.SliceExpr:
		return isSecret(e.X)
	case *ast.IndexExpr:
		return isSecret(e.X)
	case *ast.CallExpr:
		for _, a := range e.Args {
			if isSecret(a) {
				return true
			}
		}
		return isSecret(e.Fun)
	}
	return false
}
