package webhook_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
)

// No verb of fmt prints a secret or its key.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	const text = "KhExampleKhExampleKhExampleKh12"
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {}})
	if err != nil {
		t.Fatal(err)
	}
	from := webhook.Stripe("whsec_" + text)
	h, err := webhook.New(newStore(), from, catalog, map[string]string{"price": "pro"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{from, &from, h} {
			out := fmt.Sprintf(verb, v)
			for _, trace := range []string{text[:12], hex.EncodeToString([]byte(text[:12])), strings.Trim(fmt.Sprint([]byte(text[:12])), "[]")} {
				if strings.Contains(out, trace) {
					t.Errorf("%s of a %T prints the secret: %.200s", verb, v, out)
				}
			}
		}
	}
}
