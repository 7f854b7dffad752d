package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

// A service is a small API whose customers have keys.
type service struct {
	url       string
	customers *customers
	store     *sqlitestore.Store
	keys      *apikey.Manager
	server    *http.Server
	failed    chan error // receives the error if the server ends unexpectedly
}

func start(ctx context.Context, addr, file string, who *customers) (*service, error) {
	st, err := sqlitestore.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	keys, err := apikey.New(st, &apikey.Options{Prefix: "demo", Entitlements: who})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s := &service{customers: who, store: st, keys: keys, failed: make(chan error, 1)}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.url = "http://" + listener.Addr().String()
	s.server = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s, nil
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /reports", s.keys.Require("reports:read")(http.HandlerFunc(reports)))
	mux.Handle("DELETE /reports", s.keys.Require("reports:delete")(http.HandlerFunc(reports)))

	// The pages where customers sign in and manage their keys.
	who := &sessions{byID: map[string]string{}}
	mux.HandleFunc("GET /sign-in", who.ask)
	mux.Handle("POST /sign-in", http.NewCrossOriginProtection().Handler(http.HandlerFunc(who.signIn)))
	mux.Handle("/settings/api-keys/", selfservice.New(s.keys, who.owner, &selfservice.Options{
		SignInURL: "/sign-in",
		Scopes:    []selfservice.Scope{{Name: "reports:read", Description: "Read reports"}},
	}))
	return mux
}

// reports reads the key of the request. It never sees the token.
func reports(w http.ResponseWriter, r *http.Request) {
	key := apikey.MustPrincipal(r.Context()).Key()
	fmt.Fprintf(w, "hello %s, your key is %q, %s…\n", key.Owner, key.Name, key.Hint)
}

func (s *service) newKey(ctx context.Context, owner, name string) (apikey.Issued, error) {
	return s.keys.Create(ctx, apikey.CreateParams{Owner: owner, Name: name, Scopes: []string{"reports:read"}})
}

// stop first stops the server, then writes the last-used times, and then closes the
// file.
func (s *service) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var shutdown error
	if s.server != nil {
		shutdown = s.server.Shutdown(ctx)
	}
	return errors.Join(shutdown, s.keys.Close(ctx), s.store.Close())
}
