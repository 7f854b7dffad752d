package apikey

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
)

// Options configure a Manager. The zero value of each field is its default,
// and a nil *Options is all defaults: a single instance whose owners may all
// have keys.
type Options struct {
	// Prefix begins every token, so that a leaked one can be recognized; it
	// names the service and perhaps the environment, as in "acme_live". 2 to
	// 10 characters of a-z, 0-9 and _, beginning with a letter, without a
	// double or trailing underscore. Default "key". Tokens with another prefix
	// are refused.
	Prefix string

	// MaxKeysPerOwner is how many keys an owner may have that are neither
	// revoked nor expired. A key in the grace period of a rotation is free while
	// its successor counts, so up to twice as many keys can work. Default 5;
	// negative means no limit. An Entitlement's MaxKeys overrides it.
	MaxKeysPerOwner int

	// Entitlements says what each owner's plan allows. One that is an
	// [entitlement.Watcher] is watched for changes until Close. Nil entitles
	// every owner to everything, which is wise only where there are no plans.
	Entitlements entitlement.Provider

	// CacheTTL is how long a key or an entitlement may be answered from memory
	// without asking again; up to a tenth less, so that entries that were loaded
	// together do not expire together. An entry in use is loaded again in the
	// background in the last fifth of that time. While the store answers it
	// bounds how long a change made through another Manager goes unseen, if
	// there is no Bus or the Bus fails; changes made through this one are seen
	// at once. Default 60 s.
	CacheTTL time.Duration

	// NegativeTTL is the same for what does not exist: unknown tokens, and
	// owners who are not entitled, for whom it is never more than 5 s. Default
	// 5 s.
	NegativeTTL time.Duration

	// StaleIfError is how long after its last look-up a key or entitlement may
	// still be used while the store or provider fails or takes longer than 50 ms,
	// and for up to CacheTTL after a failure, so that not everything is looked up
	// at once when it is back. A look-up that was not made, because too many
	// others were under way, has not failed. That long, too, a revocation made
	// through another Manager can go unseen, unless the Bus tells of it. Default
	// 0: once CacheTTL has passed, requests wait for the look-up, and are answered
	// 503 if it fails.
	StaleIfError time.Duration

	// CacheSize is how many keys are kept in memory, at some 530 bytes each, and
	// as many entitlements where there are Entitlements. Default 100,000, at
	// most 100,000,000.
	CacheSize int

	// TouchInterval is the least time between two writes of one key's
	// last-used time. Default 5 min.
	TouchInterval time.Duration

	// LookupTimeout bounds each call of the store or the provider. A validation
	// waits for its turn for up to a quarter of it more, and other calls for up to
	// as long again, if too many calls are under way.
	// With a Bus or a Level, a change may take up to 4.5 s more, for the others
	// to be told. A call of the Level gets 500 ms, or a quarter of this if that
	// is less. Default 3 s.
	LookupTimeout time.Duration

	// Headers are the request headers that may carry the token: "Authorization"
	// (as a Bearer token), or any other, such as "X-API-Key" (as it is). A
	// request with more than one of them is refused. Default {"Authorization"}.
	Headers []string

	// Realm names the service in WWW-Authenticate. Default "api".
	Realm string

	// MACKeys put a MAC into each new token, so that forged tokens are refused
	// without asking the store. Set them in any service that strangers can
	// reach: without them everybody can make tokens with a right checksum, each of
	// which costs a look-up in the store. Each key has 32 random bytes or more,
	// the same in every instance. The first one makes new MACs; those of the others
	// are still admitted, so that a key is replaced by putting the new one before
	// it. With MACKeys set, tokens without a MAC are refused, unless
	// AcceptWithoutMAC is set. Default nil: no MAC.
	MACKeys [][]byte

	// AcceptWithoutMAC admits, beside MACKeys, tokens that were issued before there
	// were MACKeys: those with the same Prefix, without a MAC and with a right
	// checksum. To turn MACs on in a running system, set it until those keys are
	// rotated or expired. Until then a forger can leave the MAC off.
	AcceptWithoutMAC bool

	// LegacyFormats match, as a whole, the tokens of an earlier system, whose
	// digests were imported with [Manager.Register]. A token has at most 512
	// bytes, all of them visible ASCII characters. A token of the form of this
	// Manager's own, with the Prefix and 36 or 44 base62 characters behind it, is
	// never a legacy token, whether or not a pattern matches it.
	LegacyFormats []*regexp.Regexp

	// Bus carries changes of keys, and of plans by [Manager.OwnerChanged], to the
	// other instances of the service, which then see them within milliseconds.
	// While it is lost, for 5 minutes after another instance has gone without
	// Close, and for CacheTTL after a Close if the bus has no secret, no key or plan is answered from memory for longer than 10 s, unless
	// the store or provider fails too; see StaleIfError. A change that it does not take answers [ErrNotPropagated].
	// The Manager does not close it. Packages cache/rediscache and store/pgstore
	// have one. Nil means that this is the only instance, or that others may go
	// by what was before for CacheTTL.
	Bus cache.Bus

	// Level is a second level below what is in memory, shared by the instances,
	// so that one that starts need not ask the store for everything. What it
	// returns is believed, so it must know what this service wrote;
	// cache/rediscache authenticates it with a secret. While fewer than one look-up
	// in 16 finds an entry, it gets at most 500 look-ups a second, since more would
	// make validations slower than the store alone does. The Manager does not close
	// it. Nil means none.
	Level cache.Level

	// Logger gets management events, outages, and refusals at debug level. Nil
	// discards them.
	Logger *slog.Logger

	// OnEvent is called, synchronously and from many goroutines, for everything
	// worth an audit trail. Refusals come at the rate of the requests that
	// cause them, so it must be quick. It must not panic: the token of a key
	// that was just created would be lost.
	OnEvent func(context.Context, Event)

	// ErrorHandler answers the requests that Require refuses. The headers
	// (WWW-Authenticate, Retry-After, Cache-Control) are already set; the
	// request no longer has the credential. [StatusCode] gives the status. When
	// it writes nothing, the default answer is sent. Nil is the default
	// answer: problem details (RFC 9457) as JSON.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

const maxCacheSize = 100_000_000

// Format writes the options without the MACKeys, for every verb.
func (o Options) Format(f fmt.State, verb rune) {
	type options Options // without this method
	o.MACKeys = nil
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), options(o))
}

// LogValue returns the options without the MACKeys.
func (o Options) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%+v", o)) }

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	setDefault(&d.Prefix, "key")
	setDefault(&d.MaxKeysPerOwner, 5)
	setDefault(&d.CacheTTL, time.Minute)
	setDefault(&d.NegativeTTL, 5*time.Second)
	setDefault(&d.CacheSize, 100_000)
	setDefault(&d.TouchInterval, 5*time.Minute)
	setDefault(&d.LookupTimeout, 3*time.Second)
	setDefault(&d.Realm, "api")
	if d.Headers == nil {
		d.Headers = []string{"Authorization"}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"CacheTTL", o.CacheTTL},
		{"NegativeTTL", o.NegativeTTL},
		{"StaleIfError", o.StaleIfError},
		{"TouchInterval", o.TouchInterval},
		{"LookupTimeout", o.LookupTimeout},
	} {
		if d.value < 0 || d.value > cache.MaxDuration {
			return &InvalidError{Field: d.field, Reason: "must be 0 to 366 days"}
		}
	}
	if o.CacheSize < 0 || o.CacheSize > maxCacheSize {
		return &InvalidError{Field: "CacheSize", Reason: "must be 0 to 100,000,000"}
	}
	for field, v := range map[string]any{"Entitlements": o.Entitlements, "Bus": o.Bus, "Level": o.Level} {
		if v != nil && isNil(v) {
			return &InvalidError{Field: field, Reason: "must not be a nil pointer or func"}
		}
	}
	return validateRealm(o.Realm)
}
