package browser_test

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// tokenScript returns the part of the served script that generates tokens.
func tokenScript(t testing.TB, p *panel) string {
	t.Helper()
	w := ask(p.handler, owner, "GET", "/panel.js", "")
	_, script, begins := strings.Cut(w.Body.String(), "\n// Tokens.\n")
	script, _, ends := strings.Cut(script, "\nlet safe = ")
	if w.Code != 200 || !begins || !ends {
		t.Fatalf("the part of the script that generates tokens is missing: %d %s", w.Code, w.Body)
	}
	return script
}

// T-16: a token of the page depends only on the bytes of crypto.getRandomValues. Each byte gives
// one digit or none, so that all digits have the same probability.
func TestTokensOfTheScript(t *testing.T) {
	t.Parallel()
	script := tokenScript(t, newPanel(t, nil, nil))
	vm := goja.New()
	drawn := []byte{}
	next := func() byte { // each byte value once in 256
		drawn = append(drawn, byte(len(drawn)*37))
		return drawn[len(drawn)-1]
	}
	for name, v := range map[string]any{
		"fill":   func(call goja.FunctionCall) goja.Value { return vm.ToValue(int(next())) },
		"sha256": func(s string) goja.ArrayBuffer { d := sha256.Sum256([]byte(s)); return vm.NewArrayBuffer(d[:]) },
	} {
		if err := vm.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	// Every other source of randomness fails.
	made, err := vm.RunString(`
		const document = {body: {dataset: {prefix: 'acme'}}}
		const crypto = {
			getRandomValues: array => { for (let i = 0; i < array.length; i++) array[i] = fill(); return array },
			subtle: {digest: async (_, text) => sha256(text)},
		}
		class TextEncoder { encode(text) { return text } }
		Math.random = Date.now = () => { throw new Error('not random') }
	` + script + `
		let made, failed
		newAttempt().then(m => made = m, err => failed = err)
	`)
	if err != nil {
		t.Fatal(made, err)
	}
	if failed := vm.Get("failed"); failed == nil || !goja.IsUndefined(failed) {
		t.Fatalf("begin failed: %v", failed)
	}
	var digits []byte
	for _, b := range drawn {
		if b&63 < 62 {
			digits = append(digits, base62[b&63])
		}
	}
	id, body := string(digits[:24]), "acme_"+string(digits[24:])
	token := body + checksum(body)
	read := func(expression string) string {
		v, err := vm.RunString(expression)
		if err != nil {
			t.Fatal(err)
		}
		return v.String()
	}
	if got := read("made.id + ' ' + made.token"); got != id+" "+token {
		t.Errorf("got %s, want %s %s, from the bytes", got, id, token)
	}
	if got, want := read("made.sent.hint + ' ' + made.sent.digest"), fmt.Sprintf("%s %x", body[:9], sha256.Sum256([]byte(token))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	// If all bytes are equally frequent, so are all digits.
	if got := read(`counts = {}; for (const d of randomDigits(62 * 4 * 10)) counts[d] = (counts[d] ?? 0) + 1; Object.values(counts).join('') + Object.keys(counts).length`); got != strings.Repeat("40", 62)+"62" {
		t.Errorf("counts of the digits: got %s, want 40 each", got)
	}
}

func checksum(body string) string {
	n, digits := crc32.ChecksumIEEE([]byte(body)), ""
	for len(digits) < 6 {
		digits = string(base62[n%62]) + digits
		n /= 62
	}
	return digits
}

// T-16: the digits of tokens from a real browser are evenly distributed, with p > 0.001 for all
// positions together, and with KEYHATCH_SOAK at each position.
func TestTokensOfTheBrowserAreEven(t *testing.T) {
	t.Parallel()
	p := newPanel(t, &apikey.Options{Prefix: "acme"}, nil)
	tab := p.open(t, desktop)
	n, places := 2_000, 30
	least := 0.001 / float64(places)
	if testkit.Soak() {
		n, least = 100_000, 0.001
	}
	script := tokenScript(t, p)
	draw := func() (float64, int) {
		counts := make([][62]float64, places)
		seen := map[string]bool{}
		for len(seen) < n {
			tokens := eval[[]string](t, tab, `async n => {`+script+`
				const made = []
				while (made.length < n) made.push((await newAttempt()).token)
				return made
			}`, min(n, 5_000))
			for _, token := range tokens {
				if seen[token] || len(token) != len("acme_")+36 || !strings.HasPrefix(token, "acme_") {
					t.Fatalf("%q: seen %v", token, seen[token])
				}
				seen[token] = true
				for i, c := range []byte(token[5:35]) {
					counts[i][strings.IndexByte(base62, c)]++
				}
			}
		}
		p, place := 1.0, 0
		for i := range counts {
			if q := evenness(counts[i][:], float64(n)); q < p {
				p, place = q, i
			}
		}
		return p, place
	}
	got, place := draw()
	if got < least { // a correct source rarely fails once, and hardly ever twice
		got, place = draw()
	}
	if got < least {
		t.Errorf("least p: got %g at position %d, want at least %g", got, place, least)
	}
}

// evenness returns the p-value of a chi-square test, by Wilson and Hilferty.
func evenness(counts []float64, sum float64) float64 {
	expected, x := sum/float64(len(counts)), 0.0
	for _, c := range counts {
		x += (c - expected) * (c - expected) / expected
	}
	df := float64(len(counts) - 1)
	z := (math.Cbrt(x/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
	return math.Erfc(z/math.Sqrt2) / 2
}
