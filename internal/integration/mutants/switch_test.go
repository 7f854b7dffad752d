package mutants_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
)

// switchVariable is the environment variable with the number of the active mutant, in a program
// with several mutants.
const switchVariable = "KEYHATCH_MUTANT"

// An insert is text to be inserted into a file at an offset.
type insert struct {
	at   int
	text string
}

// switched returns the inserts that make the original behave as the mutant while the mutant is
// active, so that one compilation serves many mutants. It returns false if the mutant changes
// more than the bodies of functions.
func switched(number int, original, mutated []byte) (inserts []insert, ok bool) {
	before, after := parse(original), parse(mutated)
	if before == nil || after == nil || len(before.Decls) != len(after.Decls) {
		return nil, false
	}
	for i, d := range before.Decls {
		from, to := textOf(original, d), textOf(mutated, after.Decls[i])
		if bytes.Equal(from, to) {
			continue
		}
		f, isFunc := d.(*ast.FuncDecl)
		g, stillFunc := after.Decls[i].(*ast.FuncDecl)
		if !isFunc || !stillFunc || f.Body == nil || g.Body == nil || hasLabel(g) {
			return nil, false
		}
		head := f.Body.Lbrace - f.Pos() + 1
		if g.Body.Lbrace-g.Pos()+1 != head || !bytes.Equal(from[:head], to[:head]) {
			return nil, false
		}
		text := fmt.Sprintf("\nif mutantThatIsOn == %d {%s", number, to[head:len(to)-1])
		if f.Type.Results == nil {
			text += "\nreturn\n"
		}
		inserts = append(inserts, insert{int(f.Body.Lbrace), text + "}\n"})
	}
	return inserts, len(inserts) > 0
}

// parse returns nil if text is not a Go file. Positions are offsets plus 1.
func parse(text []byte) *ast.File {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	return f
}

func textOf(file []byte, d ast.Decl) []byte { return file[d.Pos()-1 : d.End()-1] }

func hasLabel(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		_, label := n.(*ast.LabeledStmt)
		found = found || label
		return true
	})
	return found
}

// withInserts returns text with the inserts.
func withInserts(text []byte, inserts []insert) []byte {
	slices.SortStableFunc(inserts, func(a, b insert) int { return cmp.Compare(a.at, b.at) })
	var b bytes.Buffer
	last := 0
	for _, in := range inserts {
		b.Write(text[last:in.at])
		b.WriteString(in.text)
		last = in.at
	}
	b.Write(text[last:])
	return b.Bytes()
}

// switchFile returns the path and text of the additional file that a package with switchable
// mutants needs.
func switchFile(of string, text []byte) (string, []byte) {
	return path.Join(path.Dir(of), "mutant_that_is_on.go"), fmt.Appendf(nil,
		"package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutantThatIsOn, _ = strconv.Atoi(os.Getenv(%q))\n", parse(text).Name, switchVariable)
}
