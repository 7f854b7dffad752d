// The quickstart program is a small service whose customers have API keys, kept
// in a SQLite file, and a page in the settings to manage them. Run it, open the
// page, and paste the curl lines that it prints:
//
//	go run ./examples/quickstart
//
// With -demo it takes a key through its whole life instead, against the same
// server and file, and exits 0 only if everything came out right.
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
	addr := flag.String("addr", "127.0.0.1:0", "where to listen; port 0 is any free one")
	file := flag.String("db", "quickstart.db", "the SQLite file that holds the keys")
	demo := flag.Bool("demo", false, "run the whole life of a key and exit")
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

// printCalls makes a few keys to try. All of an earlier run are revoked, since the
// tokens of those that it made are gone with it.
func (s *service) printCalls(ctx context.Context, out io.Writer) error {
	for _, owner := range []string{"ann", "bob"} {
		if _, err := s.keys.RevokeAll(ctx, owner, "quickstart started again"); err != nil {
			return err
		}
	}
	s.customers.set("ann", subscription{plan: "pro"})
	good, err := s.newKey(ctx, "ann", "first key")
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
	fmt.Fprintf(out, "# a good key: 200\n"+curl, good.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# no key: 401\ncurl -i %s/reports\n\n", s.url)
	fmt.Fprintf(out, "# a revoked key: 401\n"+curl, leaked.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# a key whose owner's plan has no API access any more: 403\n"+curl, lapsed.Secret.Reveal(), s.url)
	fmt.Fprintf(out, "# Open this, sign in as Ann, and create a key of your own:\n%s/sign-in\n\n", s.url)
	fmt.Fprintf(out, "# Then put it here:\nKEY=…\ncurl -i -H \"Authorization: Bearer $KEY\" %s/reports\n\n", s.url)
	fmt.Fprintln(out, "Stop with Ctrl-C.")
	return nil
}
