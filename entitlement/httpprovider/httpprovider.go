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
)

// A Provider is an [entitlement.Provider] that asks a billing service. Its methods
// may be called from many goroutines. Use [New].
type Provider struct {
	address string
	header  func() *header // where no verb of fmt finds the secrets
	catalog *entitlement.Catalog
	client  *http.Client
	timeout time.Duration
	pause   pause
}

var _ entitlement.Provider = (*Provider)(nil)

// New returns a Provider that asks the service at the address. Nil Options are
// fine. It does not connect.
//
// The address is https, or http for a loopback host, and may have a path. It has
// no query: that is the owner's.
func New(address string, catalog *entitlement.Catalog, o *Options) (*Provider, error) {
	if catalog == nil {
		return nil, errors.New("httpprovider: the catalog is nil")
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("httpprovider: %w", err)
	}
	opts := o.withDefaults()
	h := newHeader(opts.Header)
	if err := checkAddress(address, opts.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("httpprovider: %w", err)
	}
	return &Provider{
		address: address,
		header:  func() *header { return h },
		catalog: catalog,
		client:  &http.Client{Transport: opts.Transport, CheckRedirect: noRedirect},
		timeout: opts.Timeout,
	}, nil
}

// noRedirect makes a redirect an answer like any other that is not ours. To
// follow it would carry the secrets away.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Entitlement implements [entitlement.Provider]. An error other than
// [entitlement.ErrNone] is an outage. After a 429 or 503 with a Retry-After it
// comes at once, for every owner, until that time or five minutes have passed.
func (p *Provider) Entitlement(ctx context.Context, owner string) (entitlement.Entitlement, error) {
	e, err := p.ask(ctx, owner)
	switch {
	case err == nil:
		return e, nil
	case err == entitlement.ErrNone:
		return entitlement.Entitlement{}, err
	}
	return entitlement.Entitlement{}, fmt.Errorf("httpprovider: %w", p.header().withhold(err))
}

func (p *Provider) ask(ctx context.Context, owner string) (e entitlement.Entitlement, err error) {
	if owner == "" || !utf8.ValidString(owner) {
		return e, errors.New("nothing was asked: the owner is empty or not UTF-8")
	}
	if left := p.pause.left(time.Now()); left > 0 {
		return e, fmt.Errorf("nothing was asked: the service wants to be left alone for another %v", left.Round(time.Millisecond))
	}
	body, err := p.get(ctx, p.address+"?"+url.Values{"owner": {owner}}.Encode())
	if err != nil {
		return e, err
	}
	said, err := parse(body, owner)
	if err != nil {
		return e, err
	}
	return said.resolve(p.catalog, time.Now())
}

// Close closes the connections that are idle, those of a Transport that was given
// too; otherwise they end by themselves half a minute after their last use. The
// Provider remains usable. The error is nil.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}
