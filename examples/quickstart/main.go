// The quickstart program is a small service whose customers have API keys. It keeps the
// keys in a SQLite file and has a settings page to manage them. Run it, open the page, and
// paste the curl lines that it prints:
//
//	go run ./examples/quickstart
//
// With -demo, it runs a key through its whole life instead, with the same server and file.
// It exits with status 0 only if every step has the expected result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on; port 0 means any free port")
	file := flag.String("db", "quickstart.db", "SQLite file with the keys")
	demo := flag.Bool("demo", false, "run a key through its whole life and exit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := serve
	if *demo {
		run = runDemo
	}
	if err := run(ctx, os.Stdout, *addr, *file); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// serve runs the service until ctx ends.
func serve(ctx context.Context, out io.Writer, addr, file string) error {
	who, err := newCustomers()
	if err != nil {
		return err
	}
	s, err := start(ctx, addr, file, who)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s, keys in %s\n\n", s.url, file)
	if err := s.printCalls(ctx, out); err != nil {
		return errors.Join(err, s.stop())
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nstopping")
	case err = <-s.failed:
	}
	return errors.Join(err, s.stop())
}

// printCalls creates a few keys and prints calls to try them. It revokes the keys of earlier
// runs, since their tokens are lost.
func (s *service) printCalls(ctx context.Context, out io.Writer) error {
	for _, owner := range []string{"ann", "bob"} {
		if _, err := s.keys.RevokeAll(ctx, owner, "quickstart started again"); err != nil {
			return err
		}
	}
	s.customers.set("ann", subscription{plan: "pro"})
	valid, err := s.newKey(ctx, "ann", "first key")
	if err != nil {
		return err
	}
	leaked, err := s.newKey(ctx, "ann", "leaked key")
	if err != nil {
		return err
	}
	if _, err := s.keys.Revoke(ctx, "ann", leaked.Key.ID, "leaked"); err != nil {
		return err
	}
	trialEnds := time.Now().Add(time.Second)
	s.customers.set("bob", subscription{plan: "pro", until: trialEnds})
	lapsed, err := s.newKey(ctx, "bob", "key from a trial")
	if err != nil {
		return err
	}
	time.Sleep(time.Until(trialEnds))

	curl := "curl -i -H 'Authorization: Bearer %s' %s/reports\n\n"
	fmt.Fprintf(out, "# a valid key: 200\n"+curl, valid.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# no key: 401\ncurl -i %s/reports\n\n", s.url)
	fmt.Fprintf(out, "# a revoked key: 401\n"+curl, leaked.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# a key of an owner whose trial has ended: 403\n"+curl, lapsed.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# Open this page, sign in as Ann, and create your own key:\n%s/sign-in\n\n", s.url)
	fmt.Fprintf(out, "# Then paste it here:\nKEY=…\ncurl -i -H \"Authorization: Bearer $KEY\" %s/reports\n\n", s.url)
	fmt.Fprintln(out, "Stop with Ctrl-C.")
	return nil
}
