// The plans program is a small service with three plans. It receives signed events from
// a billing system, and a purchase takes effect at the customer's next request:
//
//	go run ./examples/plans
//
// runs a story against the service: a purchase, an upgrade, a failed payment, a
// cancellation, a refund and a forgery, each sent as a billing system would send it. It
// prints what each event changed, and exits with status 0 only if every step has the
// expected result.
//
// With -serve, it runs the service until Ctrl-C. With -send, from another terminal, it
// sends one event as the billing system:
//
//	export PLANS_SECRET=whsec_$(openssl rand -base64 32)
//	go run ./examples/plans -serve -addr 127.0.0.1:8080
//	go run ./examples/plans -send purchase -to http://127.0.0.1:8080
//
// Without PLANS_SECRET, the service creates a secret and prints it.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// secretVariable is the environment variable of the secret that the service and the
// billing system share.
const secretVariable = "PLANS_SECRET"

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on; port 0 means any free port")
	file := flag.String("db", "plans.db", "SQLite file with the keys and plans")
	serving := flag.Bool("serve", false, "run the service until Ctrl-C")
	event := flag.String("send", "", "send an event instead; one of "+strings.Join(slices.Sorted(maps.Keys(events)), ", "))
	to := flag.String("to", "", "URL of the service to which -send sends the event")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	secret := os.Getenv(secretVariable)
	isNew := secret == "" && *event == ""
	if isNew {
		secret = newSecret()
	}
	var err error
	switch {
	case *event != "":
		err = send(ctx, os.Stdout, *to, secret, *event)
	case *serving:
		err = serve(ctx, os.Stdout, *addr, *file, secret, isNew)
	default:
		err = play(ctx, os.Stdout, *addr, *file, secret)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plans:", err)
		os.Exit(1)
	}
}

func newSecret() string {
	key := make([]byte, 32)
	rand.Read(key)
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// send sends an event as the billing system.
func send(ctx context.Context, out io.Writer, to, secret, name string) error {
	e, ok := events[name]
	if !ok || to == "" || secret == "" {
		return fmt.Errorf("-send needs one of %q, the flag -to, and the environment variable %s", slices.Sorted(maps.Keys(events)), secretVariable)
	}
	status, err := billing{to, secret, "1"}.send(ctx, e)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: the service returned status %d\n", name, status)
	return nil
}

func serve(ctx context.Context, out io.Writer, addr, file, secret string, isNew bool) error {
	s, err := start(ctx, addr, file, secret)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s, keys and plans in %s\n\n", s.url, file)
	if isNew { // the user knows a secret from the environment, and it must not appear in logs
		fmt.Fprintf(out, "%s=%s ", secretVariable, secret)
	}
	fmt.Fprintf(out, "go run ./examples/plans -to %s -send purchase\n", s.url)
	fmt.Fprintf(out, "curl -i -X POST %s/keys\ncurl -i -H 'Authorization: Bearer …' %s/reports\n\nStop with Ctrl-C.\n", s.url, s.url)
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	return errors.Join(err, s.stop())
}
