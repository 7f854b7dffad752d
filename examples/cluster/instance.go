package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

const (
	// secretVariable is the environment variable of the secret that
	// authenticates the instances' data in Redis. A service keeps it with its
	// other secrets. A process with the variable is an instance; a process
	// without it starts three.
	secretVariable = "KEYHATCH_EXAMPLE_SECRET"

	owner = "user_1"
)

// serve runs an instance, which prints its address. It ends when ctx ends or standard
// input is closed.
func (s setup) serve(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := pgstore.Open(ctx, s.postgres, &pgstore.Options{Table: "keyhatch_example"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	options, bus, err := s.options(ctx, st)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	keys, err := apikey.New(st, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close(context.WithoutCancel(ctx))) }() // before the bus and the store, which it uses
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(keys), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent process ends
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println("http://" + listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// options returns the options that an instance needs to be one of several.
func (s setup) options(ctx context.Context, st *pgstore.Store) (*apikey.Options, io.Closer, error) {
	opts := &apikey.Options{Prefix: "acme", MaxKeysPerOwner: -1, StaleIfError: 5 * time.Minute}
	if s.bus == "notify" {
		bus, err := st.Bus(ctx, nil)
		opts.Bus = bus
		return opts, io.NopCloser(nil), err // the store closes the bus
	}
	shared, err := rediscache.Open(ctx, s.redis, []byte(os.Getenv(secretVariable)), &rediscache.Options{Namespace: "keyhatch_example"})
	opts.Bus, opts.SharedCache = shared, shared
	return opts, shared, err
}

func routes(keys *apikey.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /reports", keys.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", apikey.MustPrincipal(r.Context()).Owner())
	})))
	// In a real service, these two need a session, which determines the owner.
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		issued, err := keys.Create(r.Context(), apikey.CreateParams{Owner: owner, Name: "example"})
		if err != nil {
			http.Error(w, err.Error(), apikey.StatusCode(err))
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(createdKey{issued.Key.ID, issued.Secret.Reveal()})
	})
	mux.HandleFunc("DELETE /keys/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := keys.Revoke(r.Context(), owner, r.PathValue("id"), "end of the example"); err != nil {
			http.Error(w, err.Error(), apikey.StatusCode(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// A createdKey is the response to the creation of a key.
type createdKey struct{ ID, Token string }
