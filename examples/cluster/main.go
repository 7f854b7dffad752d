// The cluster program runs three instances of a small service with one PostgreSQL and
// one Redis. Each instance is a process. The program creates a key on the first
// instance, uses it on the other two, revokes it on the first, and measures how long
// the others accept it:
//
//	go run ./examples/cluster
//
// It uses the servers on this machine, with the PostgreSQL user and database of your
// user name. Use -postgres and -redis for other servers. With -bus notify, the bus is
// PostgreSQL's NOTIFY, and Redis is not needed. The program does not drop the tables
// that it creates, whose names begin with keyhatch_example.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// A setup holds the addresses of the servers and the kind of bus.
type setup struct {
	postgres, redis, bus string
}

func main() {
	var s setup
	flag.StringVar(&s.postgres, "postgres", "host=127.0.0.1", "PostgreSQL's data source name")
	flag.StringVar(&s.redis, "redis", "redis://127.0.0.1:6379", "URL of Redis or Valkey")
	flag.StringVar(&s.bus, "bus", "redis", "the bus: redis or notify")
	rounds := flag.Int("rounds", 100, "number of keys to create, use and revoke")
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
