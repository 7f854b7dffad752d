package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

const description = "../../../apikey/selfservice/openapi.json"

// A public validator accepts the description as OpenAPI 3.1.
func TestDescriptionIsOpenAPI(t *testing.T) {
	t.Parallel()
	const program = "axe/node_modules/.bin/validate-api"
	if _, err := os.Stat(program); err != nil {
		require(t, fmt.Errorf("the OpenAPI validator is missing; run npm ci --prefix internal/integration/browser/axe: %w", errNotInstalled))
	}
	if out, err := exec.CommandContext(t.Context(), program, description).CombinedOutput(); err != nil || !strings.Contains(string(out), `"valid": true`) {
		t.Errorf("%v: %s", err, out)
	}
}

// A document is the description against which responses are checked.
type document struct {
	Paths map[string]map[string]struct {
		Responses map[string]any
	}
	compiler *jsonschema.Compiler
}

func readDescription(t *testing.T, content []byte) *document {
	t.Helper()
	d := &document{compiler: jsonschema.NewCompiler()}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err == nil {
		err = d.compiler.AddResource("mem:///openapi.json", value)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	d.compiler.AssertFormat()
	d.Paths = map[string]map[string]struct{ Responses map[string]any }{}
	for path, methods := range all.Paths {
		d.Paths[path] = map[string]struct{ Responses map[string]any }{}
		for method, raw := range methods {
			var operation struct{ Responses map[string]any }
			if method != "parameters" {
				if err := json.Unmarshal(raw, &operation); err != nil {
					t.Fatal(err)
				}
				d.Paths[path][strings.ToUpper(method)] = operation
			}
		}
	}
	return d
}

// check compares a response with its description.
func (d *document) check(path, method string, w *httptest.ResponseRecorder) error {
	response, ok := d.Paths[path][method].Responses[strconv.Itoa(w.Code)].(map[string]any)
	if !ok {
		return errors.New("the response is not described")
	}
	place := "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method) + "/responses/" + strconv.Itoa(w.Code)
	if ref, ok := response["$ref"].(string); ok {
		place = strings.TrimPrefix(ref, "#")
	}
	if w.Code == http.StatusNoContent {
		if w.Body.Len() > 0 {
			return errors.New("the response has a body")
		}
		return nil
	}
	kind := strings.ReplaceAll(w.Header().Get("Content-Type"), "/", "~1")
	schema, err := d.compiler.Compile("mem:///openapi.json#" + place + "/content/" + kind + "/schema")
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// The handlers match the description: every path, every method, and every response with all
// fields.
func TestDescriptionIsTrue(t *testing.T) {
	t.Parallel()
	plans := entitlement.ProviderFunc(func(_ context.Context, owner string) (entitlement.Entitlement, error) {
		switch owner {
		case "free":
			return entitlement.Entitlement{Plan: "free"}, nil
		case "rich":
			return entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: -1}, nil
		case "down":
			return entitlement.Entitlement{}, errors.New("billing is down")
		}
		return entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 3, Scopes: []string{"reports:read"}}, nil
	})
	keys, err := apikey.New(memstore.New(), &apikey.Options{Entitlements: plans})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close(context.Background()) })
	h := selfservice.New(keys, func(r *http.Request) (string, error) { return r.Header.Get("X-Session"), nil }, nil)
	content := ask(h, "ann", "GET", "/openapi.json", "").Body.Bytes()
	d := readDescription(t, content)

	// Exactly the described paths and methods exist.
	for path, methods := range d.Paths {
		w := ask(h, "ann", "DELETE", strings.ReplaceAll(path, "{id}", "key_x"), "")
		var want []string
		for method := range methods {
			want = append(want, method)
			if method == http.MethodGet {
				want = append(want, http.MethodHead)
			}
		}
		slices.Sort(want)
		if got := w.Header().Get("Allow"); got != strings.Join(want, ", ") {
			t.Errorf("%s: got the methods %s, want those of the description, %v", path, got, want)
		}
	}

	seen := map[string]bool{}
	do := func(user, method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		w := ask(h, user, method, path, body)
		template := path
		if id, found := strings.CutPrefix(path, "/api/keys/"); found {
			id, rest, _ := strings.Cut(id, "/")
			template = strings.TrimSuffix("/api/keys/{id}/"+rest, "/")
			_ = id
		}
		template, _, _ = strings.Cut(template, "?")
		seen[method+" "+template+" "+strconv.Itoa(w.Code)] = true
		copied := *w
		copied.Body = bytes.NewBuffer(w.Body.Bytes())
		if err := d.check(template, method, &copied); err != nil {
			t.Errorf("%s %s as %q: %d %s: %v", method, path, user, w.Code, w.Body, err)
		}
		return w
	}
	create := func(body string) (id string) {
		var made struct{ Key struct{ ID string } }
		if err := json.Unmarshal(do("ann", "POST", "/api/keys", body).Body.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		return made.Key.ID
	}
	do("ann", "GET", "/api/keys", "")
	id := create(`{"name": "one", "scopes": ["reports:read"], "expires_at": "2100-01-01T00:00:00Z"}`)
	create(`{"name": "two", "hint": "key_abcd", "digest": "` + strings.Repeat("ab", 32) + `"}`)
	do("ann", "POST", "/api/keys", `{"name": "two", "hint": "key_abcd", "digest": "`+strings.Repeat("ab", 32)+`"}`)
	do("ann", "PATCH", "/api/keys/"+id, `{"disabled": true}`)
	do("ann", "POST", "/api/keys/"+id+"/rotate", `{"grace_seconds": 1}`)
	do("ann", "PATCH", "/api/keys/"+id, `{"disabled": false, "expires_at": null}`)
	do("ann", "POST", "/api/keys/"+id+"/rotate", `{"grace_seconds": 3600}`)
	do("ann", "POST", "/api/keys/"+id+"/revoke", `{"reason": "old"}`)
	do("ann", "PATCH", "/api/keys/"+id, `{"name": "x"}`)
	create(`{"name": "three"}`)
	do("ann", "POST", "/api/keys", `{"name": "too many"}`)
	for range 11 {
		do("rich", "POST", "/api/keys", `{"name": "too fast"}`)
	}
	for _, user := range []string{"ann", "free", "down", ""} {
		for path, methods := range d.Paths {
			for method := range methods {
				path := strings.ReplaceAll(path, "{id}", id)
				for _, body := range []string{"", `{}`, `{"name": "x"}`, `{"owner": "bob"}`, strings.Repeat("x", 20<<10)} {
					if method != "GET" || body == "" {
						do(user, method, path, body)
					}
				}
				do(user, method, strings.ReplaceAll(path, id, "key_nobody"), "")
				do(user, method, path+"?owner=bob", "")
			}
		}
	}
	do("ann", "GET", "/api/keys/"+id, "")
	do("ann", "GET", "/api/usage", "")
	do("ann", "GET", "/api/keys?filter=ended&limit=1", "")
	for _, want := range []string{
		"POST /api/keys 201", "POST /api/keys 400", "POST /api/keys 401", "POST /api/keys 403", "POST /api/keys 409", "POST /api/keys 413",
		"POST /api/keys 415", "POST /api/keys 429", "POST /api/keys 503", "GET /api/keys/{id} 200", "GET /api/keys/{id} 404",
		"PATCH /api/keys/{id} 200", "PATCH /api/keys/{id} 409", "POST /api/keys/{id}/rotate 201", "POST /api/keys/{id}/revoke 204", "GET /api/usage 503",
	} {
		if !seen[want] {
			t.Errorf("the response %s of the description was never received", want)
		}
	}
}

// Control: the check detects responses that differ from the description.
func TestDescriptionCheckFindsFaults(t *testing.T) {
	t.Parallel()
	keys, err := apikey.New(memstore.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close(context.Background()) })
	h := selfservice.New(keys, func(*http.Request) (string, error) { return "ann", nil }, nil)
	content := ask(h, "ann", "GET", "/openapi.json", "").Body.String()
	for name, edit := range map[string][2]string{
		"a field that is not there":     {`"required": [` + "\n     \"keys\"", `"required": [` + "\n     \"total\",\n     \"keys\""},
		"a field that is not described": {`"next_cursor": {`, `"next": {`},
		"another type":                  {`"keys": {` + "\n      \"type\": \"array\"", `"keys": {` + "\n      \"type\": \"object\""},
	} {
		if !strings.Contains(content, edit[0]) {
			t.Errorf("%s: the description does not contain %s", name, edit[0])
			continue
		}
		d := readDescription(t, []byte(strings.Replace(content, edit[0], edit[1], 1)))
		if err := d.check("/api/keys", "GET", ask(h, "ann", "GET", "/api/keys", "")); err == nil {
			t.Errorf("%s: the fault was not detected", name)
		}
	}
}

func ask(h http.Handler, user, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Session", user)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
