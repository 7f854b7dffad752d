package cluster_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/entitlement/httpprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

// canary is the only secret in TestOptionsPrintNoSecret.
const canary = "KhCanaryKhCanaryKhCanaryKh123456"

// H-09, H-10: no verb of fmt, no slog handler and no encoding/json prints a configured secret
// or password.
func TestOptionsPrintNoSecret(t *testing.T) {
	t.Parallel()
	looked := 0
	for name, v := range secretHolders(t) {
		for shape, x := range map[string]any{"it": v, "a list": []any{v}, "a map": map[string]any{"x": v}, "a struct": struct{ X any }{v}} {
			for how, text := range prints(x) {
				looked++
				if form := canaryIn(text); form != "" {
					t.Errorf("%s of %s with a %s shows the secret as %s", how, shape, name, form)
				}
			}
		}
	}
	if want := 18 * 4 * 14; looked != want {
		t.Errorf("checked texts: got %d, want %d", looked, want)
	}
	for how, text := range prints(struct{ Secret string }{canary}) {
		if canaryIn(text) == "" && how != "%T" && how != "%p" {
			t.Errorf("%s of a plain secret does not show it, so the test would miss a leak", how)
		}
	}
}

func secretHolders(t *testing.T) map[string]any {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	s := sharedServers(t)
	dsn, err := url.Parse(s.schema(t))
	must(err)
	dsn.User = url.UserPassword(dsn.User.Username(), canary)
	st, err := pgstore.Open(t.Context(), dsn.String(), &pgstore.Options{Schema: testkit.GetParam(dsn.String(), "search_path")})
	must(err)
	t.Cleanup(func() { st.Close() })
	busOptions := pgstore.BusOptions{DSN: dsn.String(), Secret: []byte(canary)}
	bus, err := st.Bus(t.Context(), &busOptions)
	must(err)
	redisOptions := rediscache.Options{Namespace: testkit.NewName()}
	shared, err := rediscache.Open(t.Context(), "redis://"+s.redis, []byte(canary), &redisOptions)
	must(err)
	t.Cleanup(func() { shared.Close() })
	remoteOptions, handlerOptions := remotestore.Options{}, remotestore.HandlerOptions{OlderSecrets: [][]byte{[]byte(canary)}}
	remote, err := remotestore.New("https://keys.example", []byte(canary), &remoteOptions)
	must(err)
	served, err := remotestore.Handler(memstore.New(), []byte(canary+"7"), &handlerOptions)
	must(err)
	askOptions := httpprovider.Options{Header: http.Header{"Authorization": {"Bearer " + canary}}}
	plans, err := httpprovider.New("https://billing.example", catalog(), &askOptions)
	must(err)
	from, hookOptions := webhook.Stripe("whsec_"+canary), webhook.Options{}
	own, err := (&role{setup: setup{DSN: dsn.String()}}).sell(t.Context())
	must(err)
	hooks, err := webhook.New(own, from, catalog(), map[string]string{"price": "pro"}, &hookOptions)
	must(err)
	return map[string]any{
		"pgstore.Store": st, "pgstore.Bus": bus, "pgstore.BusOptions": busOptions, "*pgstore.BusOptions": &busOptions,
		"rediscache.Cache": shared, "rediscache.Options": redisOptions, "*rediscache.Options": &redisOptions,
		"remotestore.Store": remote, "remotestore.Options": remoteOptions, "remotestore handler": served,
		"remotestore.HandlerOptions": handlerOptions, "*remotestore.HandlerOptions": &handlerOptions,
		"httpprovider.Provider": plans, "httpprovider.Options": askOptions, "*httpprovider.Options": &askOptions,
		"webhook.Source": from, "webhook.Handler": hooks, "webhook.Options": hookOptions,
	}
}

// prints returns a value as text, printed in all ways.
func prints(v any) map[string]string {
	all := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T"} {
		all[verb] = fmt.Sprintf(verb, v)
	}
	var text, structured bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", v)
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("x", "value", v)
	all["slog text"], all["slog JSON"] = text.String(), structured.String()
	encoded, err := json.Marshal(v)
	all["JSON"] = fmt.Sprint(string(encoded), err)
	return all
}

// canaryIn returns the form in which text contains the canary, or "".
func canaryIn(text string) string {
	some := []byte(canary[:15])
	for name, form := range map[string]string{
		"text": string(some), "hex": hex.EncodeToString(some), "base64": base64.StdEncoding.EncodeToString(some),
		"numbers": strings.Trim(fmt.Sprint(some), "[]"), "a Go slice": strings.Trim(strings.TrimPrefix(fmt.Sprintf("%#v", some), "[]byte"), "{}"),
		"octal": strings.Trim(fmt.Sprintf("%o", some), "[]"), "binary": strings.Trim(fmt.Sprintf("%b", some), "[]"),
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			return name
		}
	}
	return ""
}
