package remotestore_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

const contentType = "application/vnd.keyhatch.store+json"

// A response is a handler's response, before or after it was poisoned.
type response struct {
	status int
	header http.Header
	body   []byte
}

// A poison corrupts a response. The function spoil changes the response, and returns false if the
// response does not have the part to change.
type poison struct {
	name  string
	spoil func(verb string, a *response) bool
}

func set(status int, kind, body string) func(string, *response) bool {
	return func(_ string, a *response) bool {
		a.status, a.body = status, []byte(body)
		a.header.Set("Content-Type", kind)
		return true
	}
}

func status(n int) func(string, *response) bool {
	return func(_ string, a *response) bool { a.status = n; return true }
}

func body(change func([]byte) []byte) func(string, *response) bool {
	return func(_ string, a *response) bool { a.body = change(a.body); return true }
}

func header(name string, values ...string) func(string, *response) bool {
	return func(_ string, a *response) bool { a.header[name] = values; return true }
}

// Poisons for every response.
var poisons = []poison{
	{"status 201", status(201)},
	{"status 204", set(204, contentType, "")},
	{"status 206", status(206)},
	{"status 301 without a place", status(301)},
	{"status 400", status(400)},
	{"status 401", status(401)},
	{"status 403", status(403)},
	{"status 404 with a valid response", status(404)},
	{"status 409 with a valid response", status(409)},
	{"status 500", status(500)},
	{"status 503", status(503)},
	{"status 599", status(599)},
	{"a bare 404", set(404, "text/plain", "404 page not found\n")},
	{"an empty 404", set(404, contentType, "")},
	{"a proxy's page", set(502, "text/html", "<html>bad gateway</html>")},
	{"a page with 200", set(200, "text/html", "<html>welcome</html>")},
	{"not found as JSON of a proxy", set(404, "application/json", `{"code":"not_found"}`)},
	{"not found as a page", set(404, "text/html", `{"code":"not_found"}`)},
	{"not found with 200", set(200, contentType, `{"code":"not_found"}`)},
	{"not found with 409", set(409, contentType, `{"code":"not_found"}`)},
	{"not found with 503", set(503, contentType, `{"code":"not_found"}`)},
	{"busy with 200", set(200, contentType, `{"code":"busy"}`)},
	{"busy with 409", set(409, contentType, `{"code":"busy"}`)},
	{"busy with another word", set(503, contentType, `{"code":"busy","retry":1}`)},
	{"busy as JSON of a proxy", set(503, "application/json", `{"code":"busy"}`)},
	{"busy without a type", set(503, "", `{"code":"busy"}`)},
	{"conflict with 404", set(404, contentType, `{"code":"conflict"}`)},
	{"limit with 404", set(404, contentType, `{"code":"limit"}`)},
	{"an unknown code", set(404, contentType, `{"code":"gone"}`)},
	{"an empty code", set(404, contentType, `{"code":""}`)},
	{"no code", set(404, contentType, `{}`)},
	{"a code that is a number", set(404, contentType, `{"code":404}`)},
	{"a code that is null", set(404, contentType, `{"code":null}`)},
	{"a code in upper case", set(404, contentType, `{"code":"NOT_FOUND"}`)},
	{"a code under a name in upper case", set(404, contentType, `{"Code":"not_found"}`)},
	{"a code twice", set(404, contentType, `{"code":"not_found","code":"not_found"}`)},
	{"a code with a message", set(404, contentType, `{"code":"not_found","message":"no"}`)},
	{"a code with trailing data", set(404, contentType, `{"code":"not_found"}{}`)},
	{"a code in a list", set(404, contentType, `["not_found"]`)},
	{"no content type", header("Content-Type")},
	{"an empty content type", header("Content-Type", "")},
	{"two content types", header("Content-Type", contentType, contentType)},
	{"the type of JSON", header("Content-Type", "application/json")},
	{"a parameter of the type", header("Content-Type", contentType+"; charset=latin1")},
	{"a content encoding", header("Content-Encoding", "gzip")},
	{"an empty body", body(func([]byte) []byte { return nil })},
	{"null", body(func([]byte) []byte { return []byte("null") })},
	{"a list", body(func([]byte) []byte { return []byte("[]") })},
	{"a number", body(func([]byte) []byte { return []byte("1") })},
	{"an empty object", body(func([]byte) []byte { return []byte("{}") })},
	{"deep nesting", body(func([]byte) []byte { return bytes.Repeat([]byte("["), 60_000) })},
	{"a body cut short", body(func(b []byte) []byte { return b[:len(b)-1] })},
	{"half a body", body(func(b []byte) []byte { return b[:len(b)/2] })},
	{"the response twice", body(func(b []byte) []byte { return append(b, b...) })},
	{"a trailing letter", body(func(b []byte) []byte { return append(b, 'x') })},
	{"a trailing NUL", body(func(b []byte) []byte { return append(b, 0) })},
	{"a byte order mark", body(func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) })},
	{"UTF-16", body(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte{'"'}, []byte{'"', 0}) })},
	{"an unknown field", body(func(b []byte) []byte { return append([]byte(`{"more":1,`), b[1:]...) })},
	{"a code along with the response", body(func(b []byte) []byte { return append([]byte(`{"code":"ok",`), b[1:]...) })},
	{"every field twice", body(func(b []byte) []byte { return slices.Concat(b[:len(b)-1], []byte(","), b[1:]) })},
	{"names in upper case", body(upperNames)},
	{"a name with a long s", body(func(b []byte) []byte { return append([]byte("{\"ſ\":1,"), b[1:]...) })},
	{"a body that is too long", func(verb string, a *response) bool {
		most := 6_400 << 10
		if verb == "revoke_all" {
			most = 64 << 20
		}
		a.body = append(a.body, bytes.Repeat([]byte(" "), most)...)
		return true
	}},
}

func upperNames(b []byte) []byte {
	i := bytes.IndexByte(b, '"')
	return slices.Concat(b[:i+1], bytes.ToUpper(b[i+1:i+2]), b[i+2:])
}

// field returns a poison that changes one field of each record in the response. A nil
// value removes the field.
func field(name string, value any) func(record map[string]any) {
	return func(record map[string]any) {
		if value == nil {
			delete(record, name)
			return
		}
		record[name] = value
	}
}

// raw returns a value that is sent byte for byte.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

const yearZero, year10000 = "-62167219200000000", "253402300800000000"

// Poisons for every record.
var recordPoisons = []struct {
	name  string
	spoil func(record map[string]any)
}{
	{"another owner", field("owner", "other")},
	{"another owner's case", field("owner", "O")},
	{"no owner", field("owner", nil)},
	{"an empty owner", field("owner", "")},
	{"an owner that is null", field("owner", raw("null"))},
	{"an owner that is a number", field("owner", 7)},
	{"an owner that is not UTF-8", field("owner", raw("\"o\xff\""))},
	{"no id", field("id", nil)},
	{"an empty id", field("id", "")},
	{"an id that is a list", field("id", []string{"a"})},
	{"no digest", field("digest", nil)},
	{"an empty digest", field("digest", "")},
	{"a digest of 31 bytes", field("digest", strings.Repeat("ab", 31))},
	{"a digest of 33 bytes", field("digest", strings.Repeat("ab", 33))},
	{"a digest of 63 digits", field("digest", strings.Repeat("a", 63))},
	{"a digest in upper case", field("digest", strings.Repeat("AB", 32))},
	{"a digest that is no number", field("digest", strings.Repeat("g", 64))},
	{"a digest of zeros", field("digest", strings.Repeat("0", 64))},
	{"a digest as a list of bytes", field("digest", make([]int, 32))},
	{"a name that is not UTF-8", field("name", raw("\"\xc3\x28\""))},
	{"a name with half a surrogate pair", field("name", raw(`"\ud83d"`))},
	{"a name with the other half", field("name", raw(`"\udd11"`))},
	{"a name with halves in the wrong order", field("name", raw(`"\udd11\ud83d"`))},
	{"a name with half a pair before an escape", field("name", raw(`"\ud83d\n\udd11"`))},
	{"a name that is null", field("name", raw("null"))},
	{"a name that is an object", field("name", raw(`{}`))},
	{"a hint that is true", field("hint", true)},
	{"scopes that are a string", field("scopes", "reports:read")},
	{"scopes that are null", field("scopes", raw("null"))},
	{"a scope that is null", field("scopes", raw(`["x",null]`))},
	{"a scope that is a number", field("scopes", raw(`[1]`))},
	{"metadata that is a list", field("metadata", raw(`["env"]`))},
	{"metadata that is null", field("metadata", raw("null"))},
	{"metadata with a null", field("metadata", raw(`{"env_at":null}`))},
	{"metadata with a number", field("metadata", raw(`{"env":1}`))},
	{"metadata with a name twice", field("metadata", raw(`{"env":"a","env":"b"}`))},
	{"an unknown field", field("token", "key_x")},
	{"a field under another case", field("ReVoked_at", 0)},
	{"no time of creation", field("created_at", nil)},
	{"a time of creation that is null", field("created_at", raw("null"))},
	{"a time of creation that is a string", field("created_at", "2026-03-01T12:30:15Z")},
	{"a time in fractions", field("created_at", raw("1772368215123456.5"))},
	{"a time with an exponent", field("created_at", raw("1e15"))},
	{"a time beyond 64 bits", field("created_at", raw("9223372036854775808"))},
	{"a time of the last microsecond of all", field("created_at", raw("9223372036854775807"))},
	{"a time before the first year", field("created_at", raw(yearZero))},
	{"a time after the last year", field("expires_at", raw(year10000))},
	{"an expiry of the zero time", field("expires_at", raw("-62135596800000000"))},
	{"an expiry that is false", field("expires_at", false)},
	{"an expiry with a zone", field("expires_at", "2026-03-01T12:30:15+01:00")},
	{"a time of revocation that is true", field("revoked_at", true)},
	{"a last use before the first year", field("last_used_at", raw(yearZero))},
	{"disabled in the year 10000", field("disabled_at", raw(year10000))},
}

// Poisons for a record in the response to one verb. n is the index of the record.
var misfits = []struct {
	verb, name string
	n          int
	spoil      func(record map[string]any)
}{
	{"lookup", "another digest", 0, field("digest", hexDigest("b"))},
	{"get", "another id", 0, field("id", "b")},
	{"list", "newer than asked for", 0, field("created_at", begin.Add(2*time.Hour).UnixMicro())},
	{"list", "at the very place", 0, func(r map[string]any) { r["created_at"], r["id"] = begin.Add(time.Hour).UnixMicro(), "z" }},
	{"list", "out of order", 1, field("created_at", begin.Add(2*time.Second).UnixMicro())},
	{"list", "out of order by id", 1, func(r map[string]any) { r["created_at"], r["id"] = begin.Add(time.Second).UnixMicro(), "b" }},
	{"list", "the same id twice", 1, field("id", "a")},
	{"list", "the same digest twice", 1, field("digest", hexDigest("a"))},
	{"list", "the same twice", 1, func(r map[string]any) { r["created_at"], r["id"] = begin.Add(time.Second).UnixMicro(), "a" }},
	{"update", "another id", 0, field("id", "b")},
	{"update", "another name", 0, field("name", "other")},
	{"update", "no name", 0, field("name", nil)},
	{"update", "other scopes", 0, field("scopes", []string{"x", "admin"})},
	{"update", "no scopes", 0, field("scopes", nil)},
	{"update", "other metadata", 0, field("metadata", map[string]string{"x": "z"})},
	{"update", "no metadata", 0, field("metadata", nil)},
	{"update", "not disabled", 0, field("disabled_at", nil)},
	{"update", "disabled at another time", 0, field("disabled_at", begin.Add(time.Microsecond).UnixMicro())},
	{"update", "another expiry", 0, field("expires_at", begin.Add(time.Hour).UnixMicro())},
	{"update", "no expiry", 0, field("expires_at", nil)},
	{"update", "revoked", 0, field("revoked_at", begin.UnixMicro())},
	{"revoke", "another id", 0, field("id", "b")},
	{"revoke", "not revoked", 0, field("revoked_at", nil)},
	{"revoke", "revoked by null", 0, field("revoked_at", raw("null"))},
	{"revoke", "changed, at another time", 0, field("revoked_at", begin.Add(time.Second).UnixMicro())},
	{"revoke", "changed, for another reason", 0, field("revoke_reason", "other")},
	{"revoke_all", "one not revoked", 1, field("revoked_at", nil)},
	{"revoke_all", "one revoked at another time", 0, field("revoked_at", begin.Add(time.Second).UnixMicro())},
	{"revoke_all", "one revoked for another reason", 1, field("revoke_reason", "other")},
	{"revoke_all", "the same id twice", 1, field("id", "b")},
	{"revoke_all", "the same digest twice", 1, field("digest", hexDigest("b"))},
	{"rotate", "another old id", 0, field("id", "b")},
	{"rotate", "old not replaced", 0, field("replaced_by", nil)},
	{"rotate", "old replaced by another", 0, field("replaced_by", "b")},
	{"rotate", "old without an end", 0, field("expires_at", nil)},
	{"rotate", "old beyond its grace", 0, field("expires_at", begin.Add(time.Hour+time.Microsecond).UnixMicro())},
	{"rotate", "old ended before the rotation", 0, field("expires_at", begin.UnixMicro())},
	{"rotate", "old revoked in spite of its grace", 0, field("revoked_at", begin.Add(time.Minute).UnixMicro())},
	{"rotate", "old disabled", 0, field("disabled_at", begin.UnixMicro())},
	{"rotate", "old with the new digest", 0, field("digest", hexDigest("n"))},
	{"rotate", "another new id", 1, field("id", "m")},
	{"rotate", "another new digest", 1, field("digest", hexDigest("m"))},
	{"rotate", "another hint", 1, field("hint", "key_zz")},
	{"rotate", "another time of creation", 1, field("created_at", begin.UnixMicro())},
	{"rotate", "another name", 1, field("name", "other")},
	{"rotate", "another maker", 1, field("created_by", "other")},
	{"rotate", "more scopes", 1, field("scopes", []string{"reports:read", "reports:*", "admin"})},
	{"rotate", "other metadata", 1, field("metadata", map[string]string{"env": "test"})},
	{"rotate", "new key expires earlier", 1, field("expires_at", begin.Add(time.Minute).UnixMicro())},
	{"rotate", "new revoked", 1, field("revoked_at", begin.Add(time.Minute).UnixMicro())},
	{"rotate", "new with a reason", 1, field("revoke_reason", "rotated")},
	{"rotate", "new disabled", 1, field("disabled_at", begin.UnixMicro())},
	{"rotate", "new replaced", 1, field("replaced_by", "m")},
	{"rotate", "new used", 1, field("last_used_at", begin.UnixMicro())},
}

// Poisons for the other parts of a response.
var otherPoisons = []struct {
	verb, name string
	spoil      func(document map[string]any)
}{
	{"insert", "not done", field("done", false)},
	{"insert", "done by a number", field("done", 1)},
	{"touch", "not done", field("done", false)},
	{"touch", "done by null", field("done", raw("null"))},
	{"lookup", "no record", field("record", nil)},
	{"lookup", "a record that is null", field("record", raw("null"))},
	{"get", "a list of records", field("record", raw("[]"))},
	{"update", "an empty record", field("record", raw("{}"))},
	{"list", "no records", field("records", nil)},
	{"list", "records that are null", field("records", raw("null"))},
	{"list", "a record that is null", field("records", raw("[null]"))},
	{"list", "more than asked for", func(d map[string]any) {
		oldest := maps.Clone(d["records"].([]any)[1].(map[string]any))
		oldest["id"], oldest["digest"], oldest["created_at"] = "c", hexDigest("c"), begin.Add(-time.Second).UnixMicro()
		d["records"] = append(d["records"].([]any), oldest)
	}},
	{"list", "a next that begins again", field("next", map[string]any{"created_at": begin.Add(time.Minute).UnixMicro(), "id": "a"})},
	{"list", "a next without records", func(d map[string]any) {
		d["records"], d["next"] = []any{}, map[string]any{"created_at": begin.UnixMicro(), "id": "a"}
	}},
	{"list", "a next that is a string", field("next", "a")},
	{"list", "a next that is null", field("next", raw("null"))},
	{"list", "a next of an absurd time", field("next", map[string]any{"created_at": raw(yearZero), "id": "a"})},
	{"count", "no count", field("count", nil)},
	{"count", "a count that is null", field("count", raw("null"))},
	{"count", "a negative count", field("count", -1)},
	{"count", "a count in fractions", field("count", raw("1.5"))},
	{"revoke", "neither changed nor revoked", func(d map[string]any) {
		d["changed"] = false
		delete(d["record"].(map[string]any), "revoked_at")
	}},
	{"revoke", "no word of a change", field("changed", nil)},
	{"revoke", "a change that is null", field("changed", raw("null"))},
	{"revoke", "a change that is a string", field("changed", "true")},
	{"revoke_all", "no records", field("records", nil)},
	{"revoke_all", "records that are null", field("records", raw("null"))},
	{"rotate", "old revoked in spite of its grace, and both ending alike", func(d map[string]any) {
		old, now := d["old"].(map[string]any), d["now"].(map[string]any)
		old["revoked_at"], now["expires_at"] = begin.Add(time.Minute).UnixMicro(), old["expires_at"]
	}},
	{"rotate", "no old record", field("old", nil)},
	{"rotate", "no new record", field("now", nil)},
	{"rotate", "the old record twice", func(d map[string]any) { d["now"] = d["old"] }},
	{"rotate", "the new record twice", func(d map[string]any) { d["old"] = d["now"] }},
}

func hexDigest(id string) string { d := digest(id); return hex.EncodeToString(d[:]) }

// edit changes the JSON document of a response.
func edit(a *response, change func(document map[string]any) bool) bool {
	document := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		panic(err)
	}
	if !change(document) {
		return false
	}
	a.body = marshal(document)
	return true
}

// inOrder returns an object's names in the order in which a handler writes them.
// The client would refuse a response in any other order.
func inOrder(object map[string]any) []string {
	order := []string{"old", "now", "record", "records", "next", "changed",
		"id", "owner", "name", "hint", "created_by", "revoke_reason", "replaced_by", "digest", "scopes", "metadata",
		"created_at", "expires_at", "disabled_at", "revoked_at", "last_used_at"}
	if len(object) == 2 {
		order = append([]string{"created_at"}, order...) // a cursor
	}
	return slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a), slices.Index(order, b)), strings.Compare(a, b))
	})
}

// marshal is like json.Marshal, except that it writes raw values byte for byte.
func marshal(v any) []byte {
	var b bytes.Buffer
	switch v := v.(type) {
	case json.RawMessage:
		return v
	case map[string]any:
		b.WriteByte('{')
		for i, name := range inOrder(v) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", name, marshal(v[name]))
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, v := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(marshal(v))
		}
		b.WriteByte(']')
	default:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return text
	}
	return b.Bytes()
}

// nothing decodes a response and encodes it again.
func nothing(_ string, a *response) bool {
	return edit(a, func(map[string]any) bool { return true })
}

func records(document map[string]any) (all []map[string]any) {
	for _, name := range []string{"record", "old", "now"} {
		if r, ok := document[name].(map[string]any); ok {
			all = append(all, r)
		}
	}
	list, _ := document["records"].([]any)
	for _, r := range list {
		all = append(all, r.(map[string]any))
	}
	return all
}

// allPoisons returns the poisons of the tables above, and one for each sentinel
// that a verb may not return.
func allPoisons() []poison {
	all := slices.Clone(poisons)
	for _, p := range recordPoisons {
		for n := range 2 {
			all = append(all, poison{fmt.Sprintf("record %d: %s", n, p.name), func(verb string, a *response) bool {
				if verb == "lookup" && strings.HasPrefix(p.name, "another owner") {
					return false // the request names no owner
				}
				return edit(a, func(d map[string]any) bool {
					rs := records(d)
					if n < len(rs) {
						p.spoil(rs[n])
					}
					return n < len(rs)
				})
			}})
		}
	}
	for _, p := range misfits {
		all = append(all, poison{p.name, func(verb string, a *response) bool {
			return verb == p.verb && edit(a, func(d map[string]any) bool { p.spoil(records(d)[p.n]); return true })
		}})
	}
	for _, p := range otherPoisons {
		all = append(all, poison{p.name, func(verb string, a *response) bool {
			return verb == p.verb && edit(a, func(d map[string]any) bool { p.spoil(d); return true })
		}})
	}
	for _, c := range codes {
		all = append(all, poison{"the sentinel " + c.text + ", which the method never returns", func(name string, a *response) bool {
			for _, v := range verbs {
				if v.name == name && known(v, c.err) {
					return false
				}
			}
			return set(c.status, contentType, `{"code":"`+c.text+`"}`)(name, a)
		}})
	}
	return all
}

// for any response, a call returns a valid result or an outage.
func TestPoisonedResponses(t *testing.T) {
	t.Parallel()
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var now atomic.Pointer[poison] // the poison that the server applies
			var good atomic.Pointer[http.Handler]
			var applied atomic.Bool
			s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				(*good.Load()).ServeHTTP(rec, r)
				a := &response{rec.Code, rec.Header(), rec.Body.Bytes()}
				applied.Store(now.Load().spoil(v.name, a))
				maps.Copy(w.Header(), a.header)
				w.WriteHeader(a.status)
				w.Write(a.body)
			})), nil)
			rows := 0
			for _, p := range append([]poison{{"none", nothing}}, allPoisons()...) {
				h := newHandler(t, populated(t), nil)
				good.Store(&h)
				now.Store(&p)
				applied.Store(false)
				got, err := v.call(t.Context(), s)
				switch {
				case p.name == "none":
					if err != nil {
						t.Fatalf("response without a poison: got %v", err)
					}
				case applied.Load():
					rows++
					t.Run(p.name, func(t *testing.T) {
						outage(t, got, err)
						if err != nil && strings.Contains(err.Error(), "may or may not have happened") != v.writes {
							t.Errorf("error %q says that it may have happened: got %t, want %t", err, !v.writes, v.writes)
						}
					})
				case err != nil:
					t.Errorf("poison %s does not apply, but the call failed: %v", p.name, err)
				}
			}
			if rows < 40 {
				t.Errorf("got %d poisons that apply, want at least 40", rows)
			}
			t.Logf("%d poisons", rows)
		})
	}
}

var codes = []struct {
	text   string
	status int
	err    error
}{
	{"not_found", 404, sentinels[0]}, {"owner_mismatch", 404, sentinels[1]}, {"duplicate", 409, sentinels[2]},
	{"limit", 409, sentinels[3]}, {"conflict", 409, sentinels[4]}, {"busy", 503, sentinels[5]},
}

// Advisory 13 (CVE-2020-15223): the client refuses a response that claims a
// rotation without grace while the old key keeps working.
func TestPoisonedRotationAtOnce(t *testing.T) {
	t.Parallel()
	old := func(change func(map[string]any)) func(map[string]any) {
		return func(d map[string]any) { change(d["old"].(map[string]any)) }
	}
	now := func(change func(map[string]any)) func(map[string]any) {
		return func(d map[string]any) { change(d["now"].(map[string]any)) }
	}
	for name, spoil := range map[string]func(document map[string]any){
		"nothing":                      func(map[string]any) {},
		"old not revoked":              old(field("revoked_at", nil)),
		"old revoked at another time":  old(field("revoked_at", begin.UnixMicro())),
		"old revoked later":            old(field("revoked_at", begin.Add(time.Hour).UnixMicro())),
		"old revoked for other reason": old(field("revoke_reason", "leaked")),
		"old without its expiry":       old(field("expires_at", nil)),
		"new key expires later":        now(field("expires_at", begin.Add(241*time.Hour).UnixMicro())),
		"new key never expires":        now(field("expires_at", nil)),
	} {
		h := newHandler(t, populated(t), nil)
		s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			a := &response{rec.Code, rec.Header(), rec.Body.Bytes()}
			edit(a, func(d map[string]any) bool { spoil(d); return true })
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(a.status)
			w.Write(a.body)
		})), nil)
		was, is, err := s.Rotate(t.Context(), "o", "a", next("n"), begin, -1)
		if name == "nothing" && err != nil {
			t.Errorf("%s: the call failed: %v", name, err)
		} else if name != "nothing" {
			t.Run(name, func(t *testing.T) { outage(t, []store.Record{was, is}, err) })
		}
	}
}
