package mutants_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutantsFile is the name of the files that hold the mutants of a folder's code. It
// has a paragraph for each mutant:
//
//	# the name of the mutant
//	@ Manager.Validate
//	-the code that it replaces
//	+the code that it puts there, if any
//	! ./apikey TestValidate|TestRevoke
//
// "@" names a declaration in one of the folder's Go files, or a file of any kind, in
// which the replaced code occurs once. White space does not matter there. A mutant may make
// several edits. It may have several "!" lines, each of which names tests that must fail.
const mutantsFile = "testdata/mutants.txt"

// A mutant is a deliberate fault and the tests that must notice it.
type mutant struct {
	name  string
	dir   string // the folder that it breaks, from the root of the repository
	edits []edit
	pkg   string // package of the tests, from the root
	run   string // pattern for the names of the tests; the fewer it matches, the quicker
}

// An edit replaces code in a declaration or file.
type edit struct{ where, old, new string }

func (e edit) String() string { return e.where + ":\n" + e.old + "\n-->\n" + e.new }

// readMutants returns the mutants of all folders, one for each of their "!" lines.
func readMutants() (all []mutant, err error) {
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(filepath.ToSlash(file), "/"+mutantsFile) {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(filepath.Dir(file)))
		if err != nil {
			return err
		}
		found, err := parseMutants(filepath.ToSlash(dir), string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
		return nil
	})
	return all, err
}

func parseMutants(dir, text string) (all []mutant, err error) {
	var m mutant
	for i, line := range strings.Split(text, "\n") {
		if line == "" {
			continue
		}
		kind, rest := line[0], line[1:]
		var e *edit
		if n := len(m.edits); n > 0 {
			e = &m.edits[n-1]
		}
		switch {
		case kind == '#':
			m = mutant{name: strings.TrimSpace(rest), dir: dir}
		case kind == '@' && m.name != "":
			m.edits = append(m.edits, edit{where: strings.TrimSpace(rest)})
		case kind == '-' && e != nil:
			e.old += rest + "\n"
		case kind == '+' && e != nil:
			e.new += rest + "\n"
		case kind == '!' && e != nil:
			var ok bool
			if m.pkg, m.run, ok = strings.Cut(strings.TrimSpace(rest), " "); !ok {
				return nil, fmt.Errorf("line %d: want a package and a pattern of tests", i+1)
			}
			all = append(all, m)
		default:
			return nil, fmt.Errorf("line %d: %q is in no mutant", i+1, line)
		}
	}
	return all, nil
}

// A mutation is a file as a mutant changes it.
type mutation struct {
	file              string // from the root
	original, mutated []byte
}

// mutate returns the files that the mutant changes.
func (m mutant) mutate(code code) (changed []mutation, err error) {
	type replacement struct {
		from, to int
		text     string
	}
	replacements := map[string][]replacement{}
	originals := map[string][]byte{}
	for _, e := range m.edits {
		in, err := code.find(m.dir, e.where)
		if err != nil {
			return nil, err
		}
		places := e.pattern().FindAllIndex(in.text[in.from:in.to], -1)
		if len(places) != 1 {
			return nil, fmt.Errorf("the mutant is out of date: %s of %s has this code %d times, want once:\n%s", e.where, m.dir, len(places), e.old)
		}
		originals[in.file] = in.text
		replacements[in.file] = append(replacements[in.file], replacement{in.from + places[0][0], in.from + places[0][1], strings.TrimSuffix(e.new, "\n")})
	}
	for file, rs := range replacements {
		slices.SortFunc(rs, func(a, b replacement) int { return cmp.Compare(a.from, b.from) })
		var b bytes.Buffer
		last := 0
		for _, r := range rs {
			if r.from < last {
				return nil, fmt.Errorf("two edits in %s overlap", file)
			}
			b.Write(originals[file][last:r.from])
			b.WriteString(r.text)
			last = r.to
		}
		b.Write(originals[file][last:])
		changed = append(changed, mutation{file, originals[file], b.Bytes()})
	}
	return changed, nil
}

// pattern matches the replaced code with any white space between its words.
func (e edit) pattern() *regexp.Regexp {
	words := strings.Fields(e.old)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(strings.Join(words, `\s+`))
}

// code has the declarations of folders that were read before, by folder and name.
type code map[string]map[string][]span

// A span is a range of a file.
type span struct {
	file     string // from the root
	text     []byte // of the whole file
	from, to int
}

// find returns the file in the folder, or the declaration in its package, that where names.
func (c code) find(dir, where string) (span, error) {
	if text, err := os.ReadFile(filepath.Join(root, dir, where)); err == nil {
		return span{path.Join(dir, where), text, 0, len(text)}, nil
	}
	if c[dir] == nil {
		if err := c.read(dir); err != nil {
			return span{}, err
		}
	}
	found := c[dir][where]
	if len(found) != 1 {
		return span{}, fmt.Errorf("the mutant is out of date: %s is declared %d times in %s, want once", where, len(found), dir)
	}
	return found[0], nil
}

func (c code) read(dir string) error {
	c[dir] = map[string][]span{}
	sources, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		return err
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		for name, node := range declarations(text) {
			p := span{path.Join(dir, filepath.Base(source)), text, int(node.Pos()) - 1, int(node.End()) - 1}
			c[dir][name] = append(c[dir][name], p)
		}
	}
	return nil
}

// declarations returns the declarations of a file by their names; methods are named
// Type.Method.
func declarations(text []byte) map[string]ast.Node {
	found := map[string]ast.Node{}
	file := parse(text)
	if file == nil {
		return nil
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			found[receiver(d)+d.Name.Name] = d
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				node := ast.Node(spec)
				if d.Lparen == token.NoPos {
					node = d
				}
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					found[spec.Name.Name] = node
				case *ast.ValueSpec:
					found[spec.Names[0].Name] = node
				}
			}
		}
	}
	return found
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}
