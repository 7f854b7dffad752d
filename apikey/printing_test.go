package apikey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// H-09, H-10: no verb of fmt and no slog handler prints the MAC keys of a Manager or its
// Options, or the blocks that HMAC derives from them.
func TestMACKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := macKeyOf(32)
	opts := apikey.Options{Prefix: "acme", MACKeys: [][]byte{key}}
	m := newManager(t, memstore.New(), &opts)
	if err := m.Close(t.Context()); err != nil { // printing a running Manager would be a data race
		t.Fatal(err)
	}
	var forms []string
	for _, pad := range []byte{0, 0x36, 0x5c} {
		b := bytes.Clone(key[:16])
		for i := range b {
			b[i] ^= pad
		}
		forms = append(forms, string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
			base64.StdEncoding.EncodeToString(b[:15]), strings.Trim(fmt.Sprint(b), "[]"), strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"),
			strings.Trim(fmt.Sprintf("%q", b), `"`))
	}
	looked := 0
	look := func(how, text string) {
		looked++
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s prints a MAC key", how)
			}
		}
	}
	for name, v := range map[string]any{
		"Manager": m, "struct of a Manager": struct{ m *apikey.Manager }{m}, "list of a Manager": []any{m},
		"Options": opts, "pointer to Options": &opts, "struct of Options": struct{ Keys apikey.Options }{opts}, "map of Options": map[string]any{"o": opts},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%T"} {
			look(verb+" of "+name, fmt.Sprintf(verb, v))
		}
		var text, structured bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&structured, nil)).Info("x", "value", v)
		look("slog of "+name, text.String()+structured.String())
	}
	if looked != 7*13 {
		t.Errorf("checked prints: got %d, want %d", looked, 7*13)
	}
	if text := fmt.Sprintf("%+v", opts); !strings.Contains(text, "Prefix:acme") {
		t.Errorf("printed Options: got %s, want all fields except MACKeys", text)
	}
}
