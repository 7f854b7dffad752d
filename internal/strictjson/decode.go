package strictjson

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode reads a document into v, a pointer to a struct or a map. It returns an error
// for a field that the struct does not have. Like encoding/json, it leaves a field
// whose value is null unchanged, or sets it to nil.
func Decode(document []byte, v any, r Rules) error {
	object, err := Parse(document, r)
	if err != nil {
		return err
	}
	if err := r.check("", object, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	return json.Unmarshal(document, v) // check has found that v can hold the document
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// check returns an error if v, the value at the path, cannot be decoded into a t.
func (r Rules) check(path string, v any, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		return nil
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return checkUnmarshaler(path, v, t)
	}
	switch v := v.(type) {
	case map[string]any:
		if t.Kind() == reflect.Struct || t.Kind() == reflect.Map {
			return r.checkObject(path, v, t)
		}
	case []any:
		if t.Kind() == reflect.Slice {
			return r.checkList(path, v, t)
		}
	case string:
		if t.Kind() == reflect.String {
			return nil
		}
	case bool:
		if t.Kind() == reflect.Bool {
			return nil
		}
	case json.Number:
		if _, err := strconv.ParseInt(string(v), 10, bits(t)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s must be %s", subject(path), expected(t))
}

func (r Rules) checkObject(path string, object map[string]any, t reflect.Type) error {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		in, ok := r.typeOf(name, t)
		if !ok {
			return fmt.Errorf("unknown field %s", field(path, name))
		}
		if err := r.check(field(path, name), object[name], in); err != nil {
			return err
		}
	}
	return nil
}

// typeOf returns the type of a field of a struct, or of the values of a map.
func (r Rules) typeOf(name string, t reflect.Type) (reflect.Type, bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	for f := range t.NumField() {
		fieldName, _, _ := strings.Cut(t.Field(f).Tag.Get("json"), ",")
		if r.folded(fieldName) == r.folded(name) {
			return t.Field(f).Type, true
		}
	}
	return nil, false
}

func (r Rules) checkList(path string, list []any, t reflect.Type) error {
	for i, v := range list {
		if err := r.check(fmt.Sprintf("%s[%d]", path, i), v, t.Elem()); err != nil {
			return err
		}
	}
	return nil
}

// checkUnmarshaler checks a value whose type has its own UnmarshalJSON.
func checkUnmarshaler(path string, v any, t reflect.Type) error {
	document, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(document, reflect.New(t).Interface())
	}
	switch {
	case err == nil:
		return nil
	case t == reflect.TypeFor[time.Time]():
		return fmt.Errorf("%s must be a time in RFC 3339, such as 2027-01-31T00:00:00Z", subject(path))
	}
	return fmt.Errorf("%s: %w", subject(path), err)
}

// bits returns the size of an integer type in bits. For other types it returns -1, so
// that strconv.ParseInt rejects every number.
func bits(t reflect.Type) int {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return t.Bits()
	}
	return -1
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}
