package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/entitlement/webhook"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	_ "modernc.org/sqlite"
)

// The plans and what each includes. The service does not start if the file has a mistake.
//
//go:embed plans.json
var plansFile []byte

// products maps the billing system's product IDs to plans.
var products = map[string]string{"product_pro": "pro", "product_team": "team", "product_mug": ""}

// organization is the service's own at the billing system.
const organization = "organization_1"

// customer is the only customer. A real service uses the signed-in customer.
const customer = "acme"

// A service is a small API. It keeps its customers' keys and plans in one database.
type service struct {
	url    string
	db     *sql.DB
	plans  *sqlprovider.Provider
	keys   *apikey.Manager
	hooks  http.Handler
	server *http.Server
	failed chan error // receives the error if the server ends unexpectedly
}

func start(ctx context.Context, addr, file, secret string) (_ *service, err error) {
	s := &service{failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if err := s.open(ctx, file); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, secret); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
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

// open opens the file with the settings that sqlstore recommends. With only one
// connection, writers wait for each other in Go.
func (s *service) open(ctx context.Context, file string) (err error) {
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10)", "journal_mode(WAL)", "synchronous(FULL)"},
	}.Encode()}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	return s.db.PingContext(ctx)
}

// connect connects the plans, the keys and the billing system's events.
func (s *service) connect(ctx context.Context, secret string) error {
	catalog, err := entitlement.ParseCatalog(plansFile)
	if err != nil {
		return err
	}
	if s.plans, err = sqlprovider.New(s.db, sqlstore.SQLite, catalog, nil); err != nil {
		return err
	}
	st, err := sqlstore.New(s.db, sqlstore.SQLite, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(s.plans.Migrate(ctx), st.Migrate(ctx)); err != nil {
		return err
	}
	if s.keys, err = apikey.New(st, &apikey.Options{Prefix: "plans", Entitlements: s.plans}); err != nil {
		return err
	}
	s.hooks, err = webhook.New(s.plans, webhook.Polar(organization, secret), catalog, products,
		&webhook.Options{Changed: s.keys.InvalidateOwner, Logger: slog.Default()})
	return err
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /billing/events", s.hooks)
	mux.HandleFunc("POST /keys", s.newKey)
	mux.Handle("GET /reports", s.keys.Require("reports:read")(http.HandlerFunc(reports)))
	mux.Handle("GET /reports/export", s.keys.Require("reports:export")(http.HandlerFunc(export)))
	return mux
}

// newKey represents a button on the settings page. Only that page names the plan: a client
// of the API learns only that API access is not included.
func (s *service) newKey(w http.ResponseWriter, r *http.Request) {
	issued, err := s.keys.Create(r.Context(), apikey.CreateParams{Owner: customer, Name: "a key", Scopes: []string{"reports:*"}})
	if err == nil {
		fmt.Fprintln(w, issued.Secret.Reveal())
		return
	}
	u, unknown := s.keys.Usage(r.Context(), customer)
	switch {
	case unknown != nil:
		http.Error(w, "Please try again in a moment.", http.StatusServiceUnavailable)
	case errors.Is(err, apikey.ErrNotEntitled):
		http.Error(w, fmt.Sprintf("Your plan %q has no API access.", u.Entitlement.Plan), http.StatusForbidden)
	case errors.Is(err, apikey.ErrLimitReached):
		http.Error(w, fmt.Sprintf("You have %d keys. Your plan %q allows %d.", u.Used, u.Entitlement.Plan, u.Entitlement.MaxKeys), http.StatusConflict)
	default:
		http.Error(w, "Please try again in a moment.", http.StatusServiceUnavailable)
	}
}

func reports(w http.ResponseWriter, r *http.Request) {
	p := apikey.MustPrincipal(r.Context())
	// A rate limiter must count per owner: an owner with five keys has one allowance.
	fmt.Fprintf(w, "reports for %s, at most %d a minute\n", p.Owner(), p.Entitlement().Limits.PerMinute)
}

func export(w http.ResponseWriter, r *http.Request) {
	if !apikey.MustPrincipal(r.Context()).Entitlement().Has("export") {
		http.Error(w, "Your plan does not include the export.", http.StatusForbidden)
		return
	}
	fmt.Fprintln(w, "all reports, in one file")
}

// stop shuts down the server, then the Manager, and then closes the database.
func (s *service) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Shutdown(ctx))
	}
	if s.keys != nil {
		errs = append(errs, s.keys.Close(ctx))
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}
