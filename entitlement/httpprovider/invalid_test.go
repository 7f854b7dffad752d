package httpprovider_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
)

const good = `{"owner":"user_1","plan":"pro","valid_until":null}`

// A response must be refused. Status 0 means 200.
type response struct {
	name   string
	status int
	kind   string // content type; empty: application/json
	body   string
	header http.Header
}

func withBody(name, body string) response { return response{name: name, body: body} }

func withType(name, kind string) response { return response{name: name, kind: kind, body: good} }

func withHeader(name string, h http.Header) response {
	return response{name: name, body: good, header: h}
}

var invalidResponses = []response{
	{name: "status 201", status: 201, body: good},
	{name: "status 203", status: 203, body: good},
	{name: "status 204", status: 204},
	{name: "status 206", status: 206, body: good},
	{name: "status 300", status: 300, body: good},
	{name: "status 301 without a Location", status: 301, body: good},
	{name: "status 304", status: 304},
	{name: "status 400", status: 400, body: good},
	{name: "status 401", status: 401, body: good},
	{name: "status 402", status: 402, body: good},
	{name: "status 403", status: 403, body: good},
	{name: "status 404 with a valid response", status: 404, body: good},
	{name: "status 404 with no plan", status: 404, body: `{"owner":"user_1","plan":null}`},
	{name: "status 404 with nothing", status: 404},
	{name: "status 404 with a page", status: 404, kind: "text/plain", body: "404 page not found\n"},
	{name: "status 410", status: 410, body: `{"owner":"user_1","plan":null}`},
	{name: "status 429", status: 429, body: good},
	{name: "status 500", status: 500, body: good},
	{name: "status 503", status: 503, body: `{"owner":"user_1","plan":null}`},
	{name: "status 599", status: 599, body: good},
	{name: "a proxy's page", status: 502, kind: "text/html", body: "<html>bad gateway</html>"},
	{name: "a login page", kind: "text/html; charset=utf-8", body: "<html>welcome</html>"},
	{name: "a page as JSON", body: "<html>welcome</html>"},
	withType("HTML", "text/html"),
	withType("text", "text/plain"),
	withType("a problem", "application/problem+json"),
	withType("JSON for pages", "application/jsonp"),
	withType("lines", "application/json-seq"),
	withType("another charset", "application/json; charset=latin1"),
	withType("a parameter", "application/json; profile=x"),
	withType("a broken parameter", "application/json; charset"),
	withType("two in one", "application/json, text/html"),
	withHeader("no content type", http.Header{"Content-Type": nil}),
	withHeader("two content types", http.Header{"Content-Type": {"application/json", "application/json"}}),
	withHeader("an unknown encoding", http.Header{"Content-Encoding": {"br"}}),
	withHeader("the identity encoding", http.Header{"Content-Encoding": {"identity"}}),
	{name: "a gzip bomb", body: gzipBomb(), header: http.Header{"Content-Encoding": {"gzip"}}},
	{name: "a gzip bomb without an encoding", body: gzipBomb()},
	withBody("nothing", ""),
	withBody("null", "null"),
	withBody("a list", "[]"),
	withBody("the response in a list", "["+good+"]"),
	withBody("the response in a string", fmt.Sprintf("%q", good)),
	withBody("true", "true"),
	withBody("an empty object", "{}"),
	withBody("a cut body", good[:len(good)-1]),
	withBody("half a body", good[:len(good)/2]),
	withBody("the response twice", good+good),
	withBody("another line", good+"\nnull"),
	withBody("a trailing letter", good+"x"),
	withBody("a trailing NUL", good+"\x00"),
	withBody("a byte order mark", "\xef\xbb\xbf"+good),
	withBody("half a character", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"features":["`+"\xff"+`"]}}`),
	withBody("a trailing comma", `{"owner":"user_1","plan":"pro","valid_until":null,}`),
	withBody("deep nesting", strings.Repeat("[", 60_000)),
	withBody("deep nesting in a field", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"scopes":`+strings.Repeat("[", 30_000)+strings.Repeat("]", 30_000)+`}}`),
	withBody("too long by spaces", good+strings.Repeat(" ", 64<<10)),
	withBody("too long by a field", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"features":["`+strings.Repeat("a", 64<<10)+`"]}}`),
	withBody("another owner", `{"owner":"user_2","plan":"pro","valid_until":null}`),
	withBody("another owner without a plan", `{"owner":"user_2","plan":null}`),
	withBody("the owner in another case", `{"owner":"User_1","plan":"pro","valid_until":null}`),
	withBody("the owner with a space", `{"owner":"user_1 ","plan":"pro","valid_until":null}`),
	withBody("no owner", `{"plan":"pro","valid_until":null}`),
	withBody("no owner and no plan", `{"plan":null}`),
	withBody("an empty owner", `{"owner":"","plan":"pro","valid_until":null}`),
	withBody("an owner that is null", `{"owner":null,"plan":null}`),
	withBody("an owner that is a list", `{"owner":["user_1"],"plan":"pro","valid_until":null}`),
	withBody("two owners", `{"owner":"user_2","owner":"user_1","plan":"pro","valid_until":null}`),
	withBody("the plan missing", `{"owner":"user_1","valid_until":null}`),
	withBody("the owner alone", `{"owner":"user_1"}`),
	withBody("an unknown plan", `{"owner":"user_1","plan":"premium","valid_until":null}`),
	withBody("the plan in another case", `{"owner":"user_1","plan":"Pro","valid_until":null}`),
	withBody("an empty plan", `{"owner":"user_1","plan":"","valid_until":null}`),
	withBody("an empty plan that ended", `{"owner":"user_1","plan":"","valid_until":null,"status":"ended"}`),
	withBody("a plan that is false", `{"owner":"user_1","plan":false,"valid_until":null}`),
	withBody("a plan that is a number", `{"owner":"user_1","plan":0,"valid_until":null}`),
	withBody("a plan that is an object", `{"owner":"user_1","plan":{"name":"pro"},"valid_until":null}`),
	withBody("a long plan", `{"owner":"user_1","plan":"`+strings.Repeat("a", 30_000)+`","valid_until":null}`),
	withBody("a plan that is the secret", `{"owner":"user_1","plan":"`+secret+`","valid_until":null}`),
	withBody("a plan that is the header", `{"owner":"user_1","plan":"Bearer `+secret+`","valid_until":null}`),
	withBody("two plans", `{"owner":"user_1","plan":"free","plan":"pro","valid_until":null}`),
	withBody("null and a plan", `{"owner":"user_1","plan":null,"plan":"pro","valid_until":null}`),
	withBody("a plan and null", `{"owner":"user_1","plan":"pro","plan":null,"valid_until":null}`),
	withBody("names in another case", `{"Owner":"user_1","Plan":"pro","Valid_Until":null}`),
	withBody("a name twice in another case", `{"owner":"user_1","plan":"free","PLAN":"pro","valid_until":null}`),
	withBody("a name with a long s", `{"owner":"user_1","plan":"pro","valid_until":null,"ſtatus":"ended"}`),
	withBody("an unknown field", `{"owner":"user_1","plan":"pro","valid_until":null,"suspended":true}`),
	withBody("an unknown field that is the secret", `{"owner":"user_1","plan":"pro","valid_until":null,"`+secret+`":true}`),
	withBody("an unknown field without a plan", `{"owner":"user_1","plan":null,"error":"database is down"}`),
	withBody("the end missing", `{"owner":"user_1","plan":"pro"}`),
	withBody("an empty end", `{"owner":"user_1","plan":"pro","valid_until":""}`),
	withBody("an end that was not set", `{"owner":"user_1","plan":"pro","valid_until":"0001-01-01T00:00:00Z"}`),
	withBody("an end that was not set, in another zone", `{"owner":"user_1","plan":"pro","valid_until":"0001-01-01T01:00:00+01:00"}`),
	withBody("an end without a time", `{"owner":"user_1","plan":"pro","valid_until":"2999-01-01"}`),
	withBody("an end without a zone", `{"owner":"user_1","plan":"pro","valid_until":"2999-01-01T00:00:00"}`),
	withBody("an end in seconds", `{"owner":"user_1","plan":"pro","valid_until":32472144000}`),
	withBody("an end in no month", `{"owner":"user_1","plan":"pro","valid_until":"2999-13-01T00:00:00Z"}`),
	withBody("an end after the year 9999", `{"owner":"user_1","plan":"pro","valid_until":"12999-01-01T00:00:00Z"}`),
	withBody("an unknown status", `{"owner":"user_1","plan":"pro","valid_until":null,"status":"trialing"}`),
	withBody("a status in another case", `{"owner":"user_1","plan":"pro","valid_until":null,"status":"Active"}`),
	withBody("held", `{"owner":"user_1","plan":"pro","valid_until":null,"status":"held"}`),
	withBody("an empty status", `{"owner":"user_1","plan":"pro","valid_until":null,"status":""}`),
	withBody("a status that is true", `{"owner":"user_1","plan":"pro","valid_until":null,"status":true}`),
	withBody("past due without an end", `{"owner":"user_1","plan":"pro","valid_until":null,"status":"past_due"}`),
	withBody("no plan, but a status", `{"owner":"user_1","plan":null,"status":"active"}`),
	withBody("no plan, but an end", `{"owner":"user_1","plan":null,"valid_until":"2999-01-01T00:00:00Z"}`),
	withBody("no plan, but an override", `{"owner":"user_1","plan":null,"override":{"api_access":true}}`),
	withBody("an override that is true", `{"owner":"user_1","plan":"pro","valid_until":null,"override":true}`),
	withBody("an override that is a list", `{"owner":"user_1","plan":"pro","valid_until":null,"override":[]}`),
	withBody("an override with an unknown field", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"plan":"free"}}`),
	withBody("an override of zero", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"max_keys":0}}`),
	withBody("a field of the override twice", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"scopes":[],"scopes":["*"]}}`),
	withBody("an override with invalid scopes", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"scopes":["`+secret+` "]}}`),
	withBody("an override of a long grace", `{"owner":"user_1","plan":"pro","valid_until":null,"override":{"grace":"99999h"}}`),
}

// gzipBomb returns a few KiB that decompress to 8 MiB.
func gzipBomb() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, good)
	w.Write(bytes.Repeat([]byte(" "), 8<<20))
	w.Close()
	return b.String()
}

func (p response) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if p.kind != "" {
		w.Header().Set("Content-Type", p.kind)
	}
	for name, values := range p.header {
		w.Header()[name] = values
	}
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	io.WriteString(w, p.body)
}

// E-15: an invalid response neither grants nor denies access, and no error contains the
// secret.
func TestInvalidResponses(t *testing.T) {
	t.Parallel()
	for _, response := range invalidResponses {
		t.Run(strings.ReplaceAll(response.name, " ", "_"), func(t *testing.T) {
			p := newProvider(t, serve(t, response.ServeHTTP), httpprovider.Options{})
			e, err := p.Entitlement(t.Context(), "user_1")
			checkOutage(t, e, err)
		})
	}
}

// Many frameworks send a charset with the content type.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", `application/json; charset="utf-8"`} {
		p := newProvider(t, serve(t, response{kind: kind, body: good}.ServeHTTP), httpprovider.Options{})
		if e, err := p.Entitlement(t.Context(), "user_1"); err != nil || !e.APIAccess {
			t.Errorf("%s: got %+v, %v", kind, e, err)
		}
	}
}

// Every truncated response returns an outage error.
func TestTruncatedResponses(t *testing.T) {
	t.Parallel()
	const whole = `{"owner":"user_1","plan":"pro","status":"active","valid_until":"2999-01-01T00:00:00Z","override":{"scopes":["a"]}}`
	var n int
	p := newProvider(t, "http://localhost", httpprovider.Options{Transport: transport(func(*http.Request) (*http.Response, error) {
		return respond(200, whole[:n]), nil
	})})
	for n = range len(whole) {
		e, err := p.Entitlement(t.Context(), "user_1")
		checkOutage(t, e, err)
	}
	n = len(whole)
	if e, err := p.Entitlement(t.Context(), "user_1"); err != nil || !e.APIAccess {
		t.Errorf("the complete response: got %+v, %v", e, err)
	}
}

// A transport returns responses without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
	}
}

// Any bytes are either a valid response about the owner or an outage.
func FuzzResponse(f *testing.F) {
	for _, p := range invalidResponses {
		if len(p.body) < 10_000 {
			f.Add([]byte(p.body))
		}
	}
	f.Add([]byte(good))
	f.Add([]byte(`{"owner":"user_1","plan":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := newProvider(t, "http://localhost", httpprovider.Options{Transport: transport(func(*http.Request) (*http.Response, error) {
			return respond(200, string(text)), nil
		})})
		e, err := p.Entitlement(t.Context(), "user_1")
		switch {
		case err == entitlement.ErrNone:
			if !bytes.Contains(text, []byte("null")) {
				t.Errorf("%q returned ErrNone", text)
			}
		case err != nil:
			checkOutage(t, e, err)
		case e.APIAccess && e.Plan != "pro" && e.Plan != "free" || e.Plan == "":
			t.Errorf("%q granted %+v", text, e)
		}
	})
}

// Seeds of earlier failures must belong to a fuzz target, or they are never run.
func TestFuzzSeedsHaveTargets(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("testdata/fuzz")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.Name() != "FuzzResponse" {
			t.Errorf("testdata/fuzz/%s has seeds for no target", folder.Name())
		}
	}
}
