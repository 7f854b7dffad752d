package apikey_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// canaryToken is the token that no output may contain.
const canaryToken = "acme_live_8sTq2ZbVx4LkW9dYh3RnP6cJm7FgAt1KfUzXw"

// naiveSecret is written like most redacted types. It is the control: the matrix must find
// its leaks.
type naiveSecret string

func (naiveSecret) String() string       { return "[redacted]" }
func (naiveSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

type (
	exportedField[T any]   struct{ Secret T }
	unexportedField[T any] struct{ secret T }
	nestedField[T any]     struct {
		a struct{ b []unexportedField[T] }
	}
	secretError[T any] struct{ secret T }

	embeddedSecret struct{ apikey.Secret }
	embeddedNaive  struct{ naiveSecret }
)

func (e secretError[T]) Error() string { return fmt.Sprintf("refused %v", e.secret) }

type secretShape struct {
	name  string
	value any
}

func secretShapes[T comparable](s T, embedded any) []secretShape {
	nested := nestedField[T]{}
	nested.a.b = []unexportedField[T]{{s}}
	return []secretShape{
		{"value", s},
		{"exported field", exportedField[T]{s}},
		{"unexported field", unexportedField[T]{s}},
		{"pointer", &s},
		{"slice", []T{s}},
		{"map value", map[string]T{"k": s}},
		{"map key", map[T]string{s: "v"}},
		{"array", [1]T{s}},
		{"embedded", embedded},
		{"deeply nested unexported", nested},
		{"[]any", []any{s}},
		{"wrapped error", fmt.Errorf("validate: %w", secretError[T]{s})},
	}
}

// A secretSink returns its output, including its error message.
type secretSink struct {
	name  string
	write func(v any) string
}

func secretSinks() []secretSink {
	var sinks []secretSink
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%t", "%o", "%b", "%p"} {
		sinks = append(sinks, secretSink{verb, func(v any) string { return fmt.Sprintf(verb, v) }})
	}
	encoder := func(name string, encode func(b *bytes.Buffer, v any) error) {
		sinks = append(sinks, secretSink{name, func(v any) string {
			var b bytes.Buffer
			if err := encode(&b, v); err != nil {
				fmt.Fprintf(&b, " error: %v", err)
			}
			return b.String()
		}})
	}
	encoder("slog text", func(b *bytes.Buffer, v any) error {
		slog.New(slog.NewTextHandler(b, nil)).Info("m", "k", v)
		return nil
	})
	encoder("slog JSON", func(b *bytes.Buffer, v any) error {
		slog.New(slog.NewJSONHandler(b, nil)).Info("m", "k", v)
		return nil
	})
	encoder("slog group", func(b *bytes.Buffer, v any) error {
		for _, h := range []slog.Handler{slog.NewTextHandler(b, nil), slog.NewJSONHandler(b, nil)} {
			slog.New(h).WithGroup("g").With("w", v).Info("m", slog.Group("h", slog.Any("k", v)))
		}
		return nil
	})
	encoder("encoding/json", func(b *bytes.Buffer, v any) error { return json.NewEncoder(b).Encode(v) })
	encoder("encoding/xml", func(b *bytes.Buffer, v any) error { return xml.NewEncoder(b).Encode(v) })
	encoder("encoding/gob", func(b *bytes.Buffer, v any) error { return gob.NewEncoder(b).Encode(v) })
	encoder("text/template", func(b *bytes.Buffer, v any) error {
		return texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{printf "%v" .}}`)).Execute(b, v)
	})
	encoder("html/template", func(b *bytes.Buffer, v any) error {
		const page = `<a title="{{.}}" href="/?k={{.}}">{{.}}</a><script>var k = {{.}}</script>`
		return htmltemplate.Must(htmltemplate.New("").Parse(page)).Execute(b, v)
	})
	encoder("panic message", func(b *bytes.Buffer, v any) error {
		defer func() { fmt.Fprintf(b, "panic: %v\n%s", recover(), debug.Stack()) }() // in the form that net/http logs
		panic(v)
	})
	return sinks
}

// leakedForm returns the name of the encoding in which out contains eight consecutive
// characters of the token's secret part, or "" if there is none. The hint, of four
// characters, is not a leak.
func leakedForm(out, token string) string {
	secret := token[strings.LastIndexByte(token, '_')+1:]
	lower := strings.ToLower(out)
	for i := range len(secret) - 8 {
		w := secret[i : i+8]
		each := func(format, sep string) string {
			var parts []string
			for _, c := range []byte(w) {
				parts = append(parts, fmt.Sprintf(format, c))
			}
			return strings.Join(parts, sep)
		}
		reversed := []byte(w)
		slices.Reverse(reversed)
		for form, needle := range map[string]string{
			"text":                w,
			"text backwards":      string(reversed),
			"base64":              base64.StdEncoding.EncodeToString([]byte(secret[i:min(i+9, len(secret))])),
			"characters":          each("%c", " "),
			"quoted characters":   each("%q", " "),
			"decimal bytes":       each("%d", " "),
			"decimal bytes, JSON": each("%d", ","),
			"decimal bytes, Go":   each("%d", ", "),
			"octal bytes":         each("%o", " "),
			"binary bytes":        each("%b", " "),
		} {
			if strings.Contains(out, strings.TrimRight(needle, "=")) {
				return form
			}
		}
		for form, needle := range map[string]string{
			"hex":         hex.EncodeToString([]byte(w)),
			"hex, spaced": each("%x", " "),
			"hex, 0x":     each("0x%x", " "),
			"hex, Go":     each("0x%x", ", "),
			"code points": each("u+%04x", " "),
			"escapes":     each(`\x%x`, ""),
			"URL escapes": each(`%%%x`, ""),
			"entities":    each(`&#%d;`, ""),
		} {
			if strings.Contains(lower, needle) {
				return form
			}
		}
	}
	return ""
}

func TestLeakedFormFindsEachSpelling(t *testing.T) {
	t.Parallel()
	b := []byte(canaryToken)
	for name, out := range map[string]string{
		"text": canaryToken, "quoted": fmt.Sprintf("%q", canaryToken), "a part": "x" + canaryToken[20:30] + "y",
		"%x": fmt.Sprintf("%x", b), "%X": fmt.Sprintf("%X", b), "% x": fmt.Sprintf("% x", b), "%# x": fmt.Sprintf("%# x", b),
		"%v": fmt.Sprint(b), "%#v": fmt.Sprintf("%#v", b), "%c": fmt.Sprintf("%c", b), "%q": fmt.Sprintf("%q", []rune(canaryToken)),
		"%U": fmt.Sprintf("%U", b), "%o": fmt.Sprintf("%o", b), "%b": fmt.Sprintf("%b", b),
		"base64, aligned 0": base64.StdEncoding.EncodeToString(b), "base64, aligned 1": base64.RawURLEncoding.EncodeToString(b[1:]),
		"base64, aligned 2": base64.StdEncoding.EncodeToString(b[2:]),
		"JSON array":        strings.ReplaceAll(fmt.Sprint(b), " ", ","),
	} {
		if leakedForm(out, canaryToken) == "" {
			t.Errorf("%s: leakedForm did not find the token in %s, so the matrix would miss it", name, out)
		}
	}
	for _, out := range []string{"", "[redacted]", "acme_live_8sTq", fmt.Sprint(new(int))} {
		if form := leakedForm(out, canaryToken); form != "" {
			t.Errorf("found the token as %s in %q, which does not contain it", form, out)
		}
	}
}

// H-09, invariant 11, advisory 21 (CVE-2019-11250, CVE-2020-8565): no sink prints a Secret,
// in any shape.
func TestSecretMatrix(t *testing.T) {
	t.Parallel()
	// gob needs the registration to encode values in a []any.
	gob.Register(apikey.Secret{})
	gob.Register(naiveSecret(""))
	sinks := secretSinks()
	shapes := secretShapes(apikey.NewSecret(canaryToken), embeddedSecret{apikey.NewSecret(canaryToken)})
	cells := 0
	for _, sink := range sinks {
		for _, shape := range shapes {
			cells++
			out := sink.write(shape.value)
			if form := leakedForm(out, canaryToken); form != "" {
				t.Errorf("%s of a Secret as %s leaks it (%s): %s", sink.name, shape.name, form, out)
			}
			// If the sink can call the methods of a Secret, they print [redacted]. %p does not
			// call the methods of a struct.
			if shape.name == "value" && sink.name != "%p" && !strings.Contains(out, "[redacted]") {
				t.Errorf("%s of a Secret: got %q, want [redacted] in it", sink.name, out)
			}
		}
	}
	if cells != 276 {
		t.Errorf("cells of the matrix: got %d, want 23 sinks x 12 shapes = 276", cells)
	}

	bySink, byShape := map[string]int{}, map[string]int{}
	found := 0
	for _, sink := range sinks {
		for _, shape := range secretShapes(naiveSecret(canaryToken), embeddedNaive{canaryToken}) {
			if leakedForm(sink.write(shape.value), canaryToken) != "" {
				found++
				bySink[sink.name]++
				byShape[shape.name]++
			}
		}
	}
	t.Logf("the control leaks in %d cells", found)
	for _, sink := range sinks {
		if bySink[sink.name] == 0 {
			t.Errorf("control: %s leaks a naive type in no shape, so it tests nothing", sink.name)
		}
	}
	for _, shape := range shapes {
		if byShape[shape.name] == 0 {
			t.Errorf("control: no sink leaks a naive type as %s, so the shape tests nothing", shape.name)
		}
	}
}

// H-09: a crashing program does not print the token in its chain of panics.
func TestSecretInACrash(t *testing.T) {
	t.Parallel()
	const env = "KEYHATCH_CRASH_WITH"
	switch os.Getenv(env) {
	case "Secret":
		crashWith(secretShapes(apikey.NewSecret(canaryToken), embeddedSecret{apikey.NewSecret(canaryToken)}))
	case "naive":
		// A type without methods, since the runtime calls String.
		type text string
		crashWith([]secretShape{{"text", text(canaryToken)}})
	}
	for kind, leaks := range map[string]bool{"Secret": false, "naive": true} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecretInACrash$")
		cmd.Env = append(os.Environ(), env+"="+kind)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || bytes.Count(out, []byte("panic: ")) < map[string]int{"Secret": 12, "naive": 1}[kind] {
			t.Fatalf("%s: got the error %v and the output %s, want a crash with every panic", kind, err, out)
		}
		if form := leakedForm(string(out), canaryToken); (form != "") != leaks {
			t.Errorf("a crash with a %s type: got the token printed as %q, want leaked = %t:\n%s", kind, form, leaks, out)
		}
	}
}

// crashWith ends the program with one panic for each shape, and the runtime prints the whole
// chain. It uses a goroutine in which package testing does not recover.
func crashWith(shapes []secretShape) {
	go func() {
		for _, s := range shapes {
			defer func() { panic(s.value) }()
		}
	}()
	select {}
}

// A careless caller may log the whole result of Create or Rotate.
func TestIssuedDoesNotPrintItsSecret(t *testing.T) {
	t.Parallel()
	m := newManager(t, memstore.New(), nil)
	created := create(t, m, "o")
	rotated, err := m.Rotate(t.Context(), "o", created.Key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, issued := range map[string]apikey.Issued{"Create": created, "Rotate": rotated} {
		for _, sink := range secretSinks() {
			for _, v := range []any{issued, &issued, []apikey.Issued{issued}} {
				if form := leakedForm(sink.write(v), issued.Secret.Reveal()); form != "" {
					t.Errorf("%s of the %T of %s leaks the token (%s)", sink.name, v, name, form)
				}
			}
		}
	}
}

// H-09: a Secret cannot be written to a database.
func TestSecretIsNotADatabaseValue(t *testing.T) {
	t.Parallel()
	s := apikey.NewSecret(canaryToken)
	for _, v := range []any{s, &s, embeddedSecret{s}} {
		if _, ok := v.(driver.Valuer); ok {
			t.Errorf("%T is a driver.Valuer, so database/sql would store it", v)
		}
		if _, ok := v.(sql.Scanner); ok {
			t.Errorf("%T is a sql.Scanner, so database/sql would fill it", v)
		}
		got, err := driver.DefaultParameterConverter.ConvertValue(v)
		if err == nil || got != nil {
			t.Errorf("database/sql accepted a %T as %v, want an error", v, got)
		} else if leakedForm(err.Error(), canaryToken) != "" {
			t.Errorf("the error for a %T leaks it: %v", v, err)
		}
	}
}

// Only Reveal returns the token, so a search for it finds every use.
func TestSecretRevealsByRevealAlone(t *testing.T) {
	t.Parallel()
	s := apikey.NewSecret(canaryToken)
	if got := s.Reveal(); got != canaryToken {
		t.Errorf("Reveal = %q, want the token", got)
	}
	for _, v := range []reflect.Value{reflect.ValueOf(s), reflect.ValueOf(&s)} {
		for i := range v.NumMethod() {
			name, method := v.Type().Method(i).Name, v.Method(i)
			if name == "Reveal" || method.Type().NumIn() > 0 {
				continue
			}
			for _, out := range method.Call(nil) {
				if leakedForm(fmt.Sprintf("%v %s", out, out), canaryToken) != "" {
					t.Errorf("%s of %s returns the token, which only Reveal may", name, v.Type())
				}
			}
		}
	}
	for i := range reflect.TypeFor[apikey.Secret]().NumField() {
		if f := reflect.TypeFor[apikey.Secret]().Field(i); f.IsExported() || f.Type.Kind() == reflect.String {
			t.Errorf("fields of Secret: got %s %s, want only unexported pointers", f.Name, f.Type)
		}
	}
	if got := fmt.Sprint(context.WithValue(t.Context(), exportedField[int]{}, s)); leakedForm(got, canaryToken) != "" {
		t.Errorf("a context leaks it: %s", got)
	}
}

func TestZeroSecret(t *testing.T) {
	t.Parallel()
	var zero apikey.Secret
	if got := zero.Reveal(); got != "" {
		t.Errorf("Reveal of the zero Secret: got %q, want the empty string", got)
	}
	for _, sink := range secretSinks()[:11] {
		if got := sink.write(zero); got != "[redacted]" {
			t.Errorf("%s of the zero Secret: got %q, want [redacted]", sink.name, got)
		}
	}
	if b, err := json.Marshal(zero); err != nil || string(b) != `"[redacted]"` {
		t.Errorf("the zero Secret as JSON: got %s, %v", b, err)
	}
}

// A decoded Secret would hold "[redacted]", or any input.
func TestSecretIsNotDecoded(t *testing.T) {
	t.Parallel()
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(apikey.NewSecret(canaryToken)); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(canaryToken); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		decode  func(s *apikey.Secret) error
		refused bool
	}{
		//lint:ignore SA9005 the test shows this
		{"JSON string", func(s *apikey.Secret) error { return json.Unmarshal([]byte(`"`+canaryToken+`"`), s) }, true},
		//lint:ignore SA9005 the test shows this
		{"its own JSON", func(s *apikey.Secret) error { return json.Unmarshal([]byte(`"[redacted]"`), s) }, true},
		//lint:ignore SA9005 the test shows this
		{"JSON number", func(s *apikey.Secret) error { return json.Unmarshal([]byte(`1`), s) }, true},
		// Decoders skip data without an exported field.
		//lint:ignore SA9005 the test shows this
		{"JSON object", func(s *apikey.Secret) error { return json.Unmarshal([]byte(`{"text":"x","Text":"x"}`), s) }, false},
		//lint:ignore SA9005 the test shows this
		{"XML", func(s *apikey.Secret) error { return xml.Unmarshal([]byte(`<Secret text="x">x</Secret>`), s) }, false},
		{"its own gob", func(s *apikey.Secret) error { return gob.NewDecoder(&encoded).Decode(s) }, true},
		{"gob of a string", func(s *apikey.Secret) error { return gob.NewDecoder(&text).Decode(s) }, true},
	} {
		var s apikey.Secret
		err := tt.decode(&s)
		if tt.refused && err == nil {
			t.Errorf("%s: got it decoded into a Secret, want an error", tt.name)
		}
		if got := s.Reveal(); got != "" {
			t.Errorf("%s: got a Secret with %q, want the zero Secret", tt.name, got)
		}
	}
}
