package entitlement_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
)

// A catalog that is written as JSON and parsed again has the same plans.
func FuzzParseCatalog(f *testing.F) {
	for _, seed := range []string{
		catalogFile, `{"pro":{"max_keys":0}}`, `{"a":{},"A":{}}`, `{"a":{"limits":{"per_day":-1,"per_minute":1}}}`,
		`{"a":{"scopes":[]}}`, `{"a":{"ſcopes":["*"],"scopes":[]}}`, "{\"\xff\":{}}", `{"\ud800":{}}`, `{"a":{},}`, `[[[[`, `{"a":null}`, `{"a":{"grace":"1ns"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := entitlement.ParseCatalog(file)
		if err != nil {
			return
		}
		names := map[string]any{}
		if err := json.Unmarshal(file, &names); err != nil {
			t.Fatalf("%q was parsed and is not JSON: %v", file, err)
		}
		again, plans := reparse(t, c, names)
		for name, want := range plans {
			if got, err := again.Plan(name); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q: plan %q: got %+v, %v, want %+v", file, name, got, err, want)
			}
		}
	})
}

// reparse writes the plans of c as a catalog file and parses it.
func reparse(t *testing.T, c *entitlement.Catalog, names map[string]any) (*entitlement.Catalog, map[string]entitlement.Entitlement) {
	t.Helper()
	plans, files := map[string]entitlement.Entitlement{}, map[string]map[string]any{}
	for name := range names {
		e, err := c.Plan(name)
		if err != nil {
			t.Fatalf("a plan of the file is not in the catalog: %v", err)
		}
		plans[name] = e
		fields, err := json.Marshal(entitlement.Override{
			APIAccess: &e.APIAccess, MaxKeys: e.MaxKeys, Scopes: e.Scopes, Features: e.Features, Limits: e.Limits, Grace: e.Grace,
		})
		file := map[string]any{}
		if err != nil || json.Unmarshal(fields, &file) != nil {
			t.Fatalf("plan %q: got %s, %v", name, fields, err)
		}
		if e.Rank != 0 {
			file["rank"] = e.Rank
		}
		files[name] = file
	}
	file, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	again, err := entitlement.ParseCatalog(file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return again, plans
}

func FuzzOverrideJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"api_access":false,"max_keys":-1,"scopes":[],"features":["a"],"limits":{"per_day":5},"grace":"-2h"}`,
		`{"max_keys":1,"MAX_KEYS":2}`, `{"scopes":null}`, `{"grace":"0"}`, `{"features":["\ud800"]}`, `{"a" 1}`, `{"limits":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var o, again entitlement.Override
		if err := json.Unmarshal(text, &o); err != nil {
			return
		}
		if err := o.Check(); err != nil {
			t.Errorf("%q was read, but Check returned: %v", text, err)
		}
		written, err := json.Marshal(o)
		if err != nil || json.Unmarshal(written, &again) != nil || !reflect.DeepEqual(o, again) {
			t.Errorf("%q: got %+v from %s (%v), want %+v", text, again, written, err, o)
		}
	})
}

// Seeds of earlier failures must belong to a fuzz target, or they are never
// run.
func TestFuzzSeedsHaveTargets(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("testdata/fuzz")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.Name() != "FuzzParseCatalog" && folder.Name() != "FuzzOverrideJSON" {
			t.Errorf("testdata/fuzz/%s has seeds for no target", folder.Name())
		}
	}
}
