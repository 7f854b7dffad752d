package remotestore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

// This example runs a central key service and a gateway in one process. In
// production the store is from sqlitestore, pgstore or sqlstore, the secret comes
// from the host's secret manager, and the server calls ServeTLS instead of Serve.
func Example() {
	secret := make([]byte, 32)
	rand.Read(secret)

	// The service.
	handler, err := remotestore.Handler(memstore.New(), secret, &remotestore.HandlerOptions{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/keys/", http.StripPrefix("/keys", handler))
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	ctx := context.Background()
	defer server.Shutdown(ctx)

	// The gateway.
	st, err := remotestore.New("http://"+listener.Addr().String()+"/keys", secret, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	keys, err := apikey.New(st, &apikey.Options{Prefix: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close(ctx)

	issued, err := keys.Create(ctx, apikey.CreateParams{Owner: "user_1", Name: "ci"})
	if err != nil {
		log.Fatal(err)
	}
	p, err := keys.Validate(ctx, issued.Secret.Reveal())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a key of", p.Key().Owner)
	if _, err := keys.Revoke(ctx, "user_1", issued.Key.ID, "leaked"); err != nil {
		log.Fatal(err)
	}
	_, err = keys.Validate(ctx, issued.Secret.Reveal())
	fmt.Println(err)
	// Output:
	// a key of user_1
	// apikey: unauthenticated: key is revoked
}

// A gateway with a client certificate sets Options.TLS.
func ExampleNew() {
	secret := []byte(os.Getenv("KEY_SERVICE_SECRET"))
	st, err := remotestore.New("https://keys.internal", secret, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer st.Close()
	// Output:
	// remotestore: the secret must have 32 to 1,024 bytes
}

// To replace the secret, the service first accepts both the old and the new one.
func ExampleHandler() {
	current, old := make([]byte, 32), make([]byte, 32)
	rand.Read(current)
	rand.Read(old) // in production both come from the host's secret manager
	handler, err := remotestore.Handler(memstore.New(), current, &remotestore.HandlerOptions{
		OlderSecrets: [][]byte{old},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = &http.Server{Handler: handler, ReadTimeout: 10 * time.Second}
}
