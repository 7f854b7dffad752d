package testkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Canary is a password that must not appear in an error.
const Canary = "cAnArY"

// WantNoCanary fails if an error shows Canary in any way that a log may print it.
func WantNoCanary(tb testing.TB, err error) {
	tb.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		fmt.Fprintf(&b, verb+"\n", err)
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Error("failed", "err", err)
	slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "err", err)
	json.NewEncoder(&b).Encode(err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintln(&b, e)
	}
	for _, spelling := range []string{Canary, fmt.Sprintf("%x", Canary), fmt.Sprintf("%X", Canary)} {
		if strings.Contains(b.String(), spelling) {
			tb.Errorf("an error shows the password:\n%s", b.String())
		}
	}
}
