package apikey_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// M-20: names and reasons must be visible. Invisible characters are accepted only if they
// shape their neighbours.
func TestVisibleNames(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	id := create(t, m, "o").Key.ID
	const hidden, blank = "invisible characters", "visible character:"
	for _, tt := range []struct{ name, text, want string }{
		{"letters", "Café 東京 ключ", ""},
		{"punctuation", "-", ""},
		{"emoji", "🔑", ""},
		{"emoji with a selector", "❤️", ""},
		{"emoji joined", "👩🏽‍💻 ❤️‍🔥 🏳️‍🌈 🙂‍↔️", ""},
		{"keycap", "1️⃣ #️⃣", ""},
		{"punctuation as emoji", "‼️ 〽️", ""},
		{"a letter as emoji", "ℹ️", ""},
		{"symbols as emoji", "™️ ▶️ ◽️ ㊗️ 🅰️", ""},
		{"symbols as text", "❤\ufe0e", ""},
		{"emoji joined with other symbols", "⛹️‍♀️ 🏴‍☠️ 🏳️‍⚧️ 🐻‍❄️ 🐈‍⬛ ⛓️‍💥 🚶🏽‍♂️‍➡️ 👁️‍🗨️", ""},
		{"people joined with other symbols", "🧑‍⚕️ 👨‍⚖️ 🧑‍✈️ 👩‍❤️‍💋‍👨", ""},
		{"flag of two letters", "🇫🇷", ""},
		{"flag of a region", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", ""},
		{"Persian", "می\u200cخواهم", ""},
		{"Arabic with a mark", "ه\u0654\u200cا", ""},
		{"Hindi", "क्\u200dष क्\u200cष", ""},
		{"Malayalam, at the end of a word", "അവന്\u200d", ""},
		{"Sinhala", "ශ්\u200dරී", ""},
		{"ideograph with a variant", "葛\U000e0100", ""},
		{"ideograph with a standardized variant", "\u4fae\ufe00", ""},
		{"Mongolian with a variant", "ᠠ\u180b", ""},

		{"mark alone", "\u0301", blank},
		{"private use alone", "\ue000", blank},
		{"U+3164 alone", "\u3164", hidden},
		{"U+115F", "a\u115f", hidden},
		{"U+1160", "a\u1160", hidden},
		{"U+FFA0", "a\uffa0", hidden},
		{"U+034F", "a\u034f", hidden},
		{"U+2800", "a\u2800", hidden},
		{"U+00AD", "ad\u00admin", hidden},
		{"U+200B", "ad\u200bmin", hidden},
		{"U+180E", "ad\u180emin", hidden},
		{"U+FEFF", "\ufeffadmin", hidden},
		{"joiner in Latin", "ad\u200dmin", hidden},
		{"non-joiner in Latin", "ad\u200cmin", hidden},
		{"joiner at the beginning", "\u200d🔑", hidden},
		{"joiner at the end", "🔑\u200d", hidden},
		{"joiner after an Arabic word", "می\u200d", hidden},
		{"joiners in a row", "👩\u200d\u200d💻", hidden},
		{"non-joiner in an emoji", "👩\u200c💻", hidden},
		{"tag letters", "admin\U000e0061\U000e0062\U000e0063\U000e007f", hidden},
		{"tag letters after another emoji", "🔑\U000e0061\U000e0062\U000e0063\U000e007f", hidden},
		{"flag without an end", "🏴\U000e0067\U000e0062\U000e0073", hidden},
		{"flag with a message", "🏴" + strings.Repeat("\U000e0061", 7) + "\U000e007f", hidden},
		{"selector alone", "\ufe0f", hidden},
		{"selector in Latin", "a\ufe0f", hidden},
		{"selector after a digit", "1\ufe0f", hidden},
		{"joiner between symbols", "€\u200d€", hidden},
		{"joiner after a symbol in emoji style", "©\ufe0f\u200d💻", hidden},
		{"emoji selector after a currency sign", "€\ufe0f", hidden},
		{"emoji selector after an ideograph", "東\ufe0f", hidden},
		{"selector that no ideograph has", "東\ufe05", hidden},
		{"Mongolian selector after an ideograph", "東\u180b", hidden},
		{"selector of ideographs after Mongolian", "ᠠ\U000e0100", hidden},
		{"blank hieroglyph", "\U00013441", hidden},
		{"half a blank hieroglyph", "a\U00013442", hidden},
		{"null notehead", "a\U0001d159", hidden},
		{"place of an object", "a\ufffc", hidden},
		{"zero-width fillers", "a\U00016fe4", hidden},
		{"number joiner", "a\U0001107f", hidden},
		{"consonant joiner", "a\u2d7f", hidden},
		{"no character", "a\ufdd0", hidden},
		{"no character of a plane", "a\U0002ffff", hidden},
		{"selectors in a row", "❤\ufe0f\ufe0f", hidden},
		{"selector of ideographs in Latin", "a\U000e0100", hidden},
	} {
		name := tt.text
		_, err := m.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &name})
		_, revoked := m.Revoke(t.Context(), "o", "key_x", tt.text)
		if errors.Is(revoked, apikey.ErrNotFound) {
			revoked = nil // the reason was accepted
		}
		for field, err := range map[string]error{"Name": err, "reason": revoked} {
			var invalid *apikey.InvalidError
			if tt.want == "" && err != nil || tt.want != "" && !(errors.As(err, &invalid) && invalid.Field == field && strings.Contains(invalid.Reason, tt.want)) {
				t.Errorf("%s as %s: got %v, want %q", tt.name, field, err, tt.want)
			}
		}
	}
}

// M-20: a stored name is accepted again unchanged, and has no character that is always
// refused.
func FuzzName(f *testing.F) {
	m := newManager(f, memstore.New(), nil)
	id := create(f, m, "o").Key.ID
	f.Fuzz(func(t *testing.T, name string) {
		k, err := m.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &name})
		if err != nil {
			return
		}
		if strings.ContainsAny(k.Name, "\u00ad\u034f\u115f\u1160\u180e\u200b\u200e\u202e\u2060\u2800\u3164\ufeff\uffa0\n\x00") {
			t.Errorf("accepted the name %+q", k.Name)
		}
		bare := strings.NewReplacer("\u200c", "", "\u200d", "", "\ufe0f", "", " ", "").Replace(k.Name)
		if bare == "" || strings.HasPrefix(k.Name, "\u200d") || strings.HasPrefix(k.Name, "\ufe0f") {
			t.Errorf("accepted the name %+q, which is invisible", k.Name)
		}
		if again, err := m.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &k.Name}); err != nil || again.Name != k.Name {
			t.Errorf("%+q, stored as %+q: got %+q, %v when stored again", name, k.Name, again.Name, err)
		}
	})
}
