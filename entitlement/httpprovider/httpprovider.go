package httpprovider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/httpclient"
)

// A Provider is an [entitlement.Provider] that asks a billing service. Create
// it with [New]. Its methods may be called from many goroutines.
type Provider struct {
	address string
	catalog *entitlement.Catalog
	client  *httpclient.Client
	pause   pause
}

var _ entitlement.Provider = (*Provider)(nil)

// New returns a Provider that asks the service at the address. The Options may
// be nil. New does not connect.
//
// The address begins with https, or with http if the host is a loopback address
// or [Options.InsecureHTTP] is set. It may have a path. It must not have a
// user, a query or a fragment: the query is the owner. New returns an
// [*entitlement.InvalidError] if the address or an option is invalid, or if the
// catalog is nil.
func New(address string, catalog *entitlement.Catalog, opts *Options) (*Provider, error) {
	if catalog == nil {
		return nil, invalid("catalog", errors.New("must not be nil"))
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	o := opts.withDefaults()
	if _, err := httpclient.CheckURL(address, o.InsecureHTTP); err != nil {
		return nil, invalid("address", err)
	}
	client := httpclient.New(o.Transport, o.Timeout, o.Header, http.Header{
		"Accept":          {contentType},
		"Accept-Encoding": {"identity"},
		"Cache-Control":   {"no-cache"}, // a cache could return a plan that has ended
	})
	return &Provider{address: address, catalog: catalog, client: client}, nil
}

func invalid(field string, err error) error {
	return fmt.Errorf("httpprovider: %w", &entitlement.InvalidError{Field: field, Err: err})
}

// Entitlement implements [entitlement.Provider]. An error other than
// [entitlement.ErrNone] means an outage. No error contains the owner or a value of
// [Options.Header].
//
// After a 429 or 503 with a Retry-After, Entitlement sends no requests for that time,
// or for five minutes if that is less. Meanwhile, it returns an error for every owner.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	e, err := p.ask(ctx, owner)
	switch {
	case err == nil:
		return e, nil
	case err == entitlement.ErrNone:
		return entitlement.Entitlement{}, err
	}
	return entitlement.Entitlement{}, fmt.Errorf("httpprovider: %w", p.client.Redact(err))
}

func (p *Provider) ask(ctx context.Context, owner string) (e entitlement.Entitlement, err error) {
	if owner == "" || !utf8.ValidString(owner) {
		return e, errors.New("no request was sent: the owner is empty or not UTF-8")
	}
	if left := p.pause.left(time.Now()); left > 0 {
		return e, fmt.Errorf("no request was sent: the service has asked for a pause (Retry-After), which ends in %v", left.Round(time.Millisecond))
	}
	body, err := p.get(ctx, p.address+"?"+url.Values{"owner": {owner}}.Encode())
	if err != nil {
		return e, err
	}
	r, err := parse(body, owner)
	if err != nil {
		return e, err
	}
	return r.resolve(p.catalog, time.Now())
}

// Close closes idle connections, including those of [Options.Transport]. Without
// Close, the default transport closes them 30 seconds after their last use.
// The Provider remains usable. The error is always nil.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}
