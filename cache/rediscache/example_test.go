package rediscache_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/keyhatch/keyhatch/cache/rediscache"
)

// Staging and production share a server here.
func ExampleOpen() {
	ctx := context.Background()
	secret, err := hex.DecodeString(os.Getenv("CACHE_SECRET")) // openssl rand -hex 32
	if err != nil {
		log.Fatal(err)
	}
	c, err := rediscache.Open(ctx, os.Getenv("REDIS_URL"), secret, &rediscache.Options{Namespace: "keyhatch:staging"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}

// Every instance receives each message, including the publisher's own.
func ExampleCache_Receive() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	secret, err := hex.DecodeString(os.Getenv("CACHE_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	c, err := rediscache.Open(ctx, os.Getenv("REDIS_URL"), secret, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ready := func(func(context.Context, string) error) {
		if err := c.Publish(ctx, "hello"); err != nil {
			log.Print(err)
		}
	}
	err = c.Receive(ctx, ready, func(message string) { fmt.Println(message) })
	log.Print(err) // the connection is lost: call Receive again
}
