// Command cluster runs three instances of a small service, each a process of
// its own, over one PostgreSQL and one Redis. It creates a key on the first,
// uses it on the other two, revokes it on the first, and measures how long the
// others go on accepting it:
//
//	go run ./examples/cluster
//
// It finds servers on this machine, with PostgreSQL's user and database named
// after yours; -postgres and -redis name others. With -bus notify messages go by
// PostgreSQL's NOTIFY, and Redis is left out. The tables that it makes are
// called keyhatch_example_… and stay.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// A setup is where the instances meet.
type setup struct {
	postgres, redis, bus string
}

func main() {
	var s setup
	flag.StringVar(&s.postgres, "postgres", "host=127.0.0.1", "PostgreSQL's data source name")
	flag.StringVar(&s.redis, "redis", "redis://127.0.0.1:6379", "Redis' or Valkey's URL")
	flag.StringVar(&s.bus, "bus", "redis", "what carries messages: redis or notify")
	rounds := flag.Int("rounds", 100, "how many keys are created, used and revoked")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if os.Getenv(secretVariable) != "" {
		err = s.serve(ctx)
	} else {
		err = s.play(ctx, os.Stdout, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
