package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/text"
)

// fields reads the fields of an object in an event. A method returns the zero
// value if the field is missing or has the wrong shape. The first such fault is
// kept, so that callers check for it once. The fault contains the field's name
// and not its value.
type fields struct {
	values map[string]any
	path   string
	fault  *error
}

func newFields(values map[string]any) fields {
	return fields{values: values, fault: new(error)}
}

func (f fields) err() error { return *f.fault }

func (f fields) fail(name, want string) {
	f.failWith(fmt.Errorf("%s%s: want %s", f.path, name, want))
}

func (f fields) failWith(fault error) {
	if *f.fault == nil {
		*f.fault = fault
	}
}

// has reports whether the field exists and is not null.
func (f fields) has(name string) bool { return f.values[name] != nil }

// text reads a required string that a database can store.
func (f fields) text(name string) string {
	s, _ := f.values[name].(string)
	if text.CheckID(s) != nil {
		f.fail(name, "a string of 1 to 255 bytes")
		return ""
	}
	return s
}

// textOr reads a string that may be missing or null.
func (f fields) textOr(name, other string) string {
	if !f.has(name) {
		return other
	}
	return f.text(name)
}

// id reads an ID or the ID of an object, which Stripe calls expanded. It may be
// missing.
func (f fields) id(name string) string {
	if _, ok := f.values[name].(map[string]any); ok {
		return f.object(name).text("id")
	}
	return f.textOr(name, "")
}

func (f fields) flag(name string) bool {
	b, ok := f.values[name].(bool)
	if !ok && f.has(name) {
		f.fail(name, "true or false")
	}
	return b
}

// integer parses a whole number. The error does not become a fault.
func (f fields) integer(name string) (int64, error) {
	n, _ := f.values[name].(json.Number)
	return strconv.ParseInt(string(n), 10, 64)
}

// amount reads an amount of money in the currency's smallest unit. A negative amount counts
// as zero.
func (f fields) amount(name string) int64 {
	amount, err := f.integer(name)
	if err != nil {
		f.fail(name, "a whole number")
	}
	return max(amount, 0)
}

// creditOr reads an amount that is zero or negative, and returns it without the sign. It
// may be missing or null.
func (f fields) creditOr(name string) int64 {
	amount, err := f.integer(name)
	if f.has(name) && err != nil {
		f.fail(name, "a whole number")
	}
	return max(-amount, 0)
}

// currency reads the code of a currency, and returns it in lower case.
func (f fields) currency(name string) string { return strings.ToLower(f.text(name)) }

// days reads a number of days that may be missing.
func (f fields) days(name string) time.Duration {
	days, err := f.integer(name)
	if f.has(name) && (err != nil || days < 0 || days > 36500) {
		f.fail(name, "a number of days")
		return 0
	}
	return time.Duration(days) * 24 * time.Hour
}

// unix reads a time in whole seconds since 1970.
func (f fields) unix(name string) time.Time {
	n, _ := f.values[name].(json.Number)
	t, err := unixTime(string(n))
	if err != nil {
		f.fail(name, "a time in seconds")
	}
	return t
}

// unixOr reads a time in whole seconds since 1970. If it is missing or null, unixOr returns
// the zero time.
func (f fields) unixOr(name string) (t time.Time) {
	if f.has(name) {
		t = f.unix(name)
	}
	return t
}

// date reads a time in RFC 3339.
func (f fields) date(name string) time.Time {
	s, _ := f.values[name].(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		f.fail(name, "a time in RFC 3339")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// dateOr reads a date that may be missing or null, and is then the zero time.
func (f fields) dateOr(name string) (t time.Time) {
	if f.has(name) {
		t = f.date(name)
	}
	return t
}

// object reads a required object.
func (f fields) object(name string) fields {
	inner, ok := f.values[name].(map[string]any)
	if !ok {
		f.fail(name, "an object")
	}
	return fields{inner, f.path + name + ".", f.fault}
}

// objectOr returns empty fields if the object is missing or null.
func (f fields) objectOr(name string) fields {
	if !f.has(name) {
		return fields{nil, f.path + name + ".", f.fault}
	}
	return f.object(name)
}

// objects reads a required array of objects.
func (f fields) objects(name string) []fields {
	array, ok := f.values[name].([]any)
	if !ok {
		f.fail(name, "an array")
	}
	all := make([]fields, len(array))
	for i, v := range array {
		path := fmt.Sprintf("%s[%d]", name, i)
		inner, ok := v.(map[string]any)
		if !ok {
			f.fail(path, "an object")
		}
		all[i] = fields{inner, f.path + path + ".", f.fault}
	}
	return all
}

// metadata reads the host's own pairs. The values of Polar and Dodo may be
// numbers and booleans, which are returned as in JSON.
func (f fields) metadata(name string) map[string]string {
	pairs := map[string]string{}
	for key, v := range f.objectOr(name).values {
		switch v := v.(type) {
		case string:
			pairs[key] = v
		case json.Number:
			pairs[key] = string(v)
		case bool:
			pairs[key] = fmt.Sprint(v)
		}
	}
	return pairs
}
