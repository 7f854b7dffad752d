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

// Options configure a Manager. The zero value of each field selects its default. A nil
// *Options selects all defaults, which suit a single instance without plans. Each
// duration that is not zero must be 1 ms to 366 days.
type Options struct {
	// Prefix begins every token, so that a leaked token can be recognized. It
	// should name the service and perhaps the environment, as in "acme_live". It has
	// 2 to 20 characters of a-z, 0-9 and _, begins with a letter, and has no double
	// or trailing underscore. Up to 10 characters are recommended: the digest of a
	// longer token takes about 50 ns more. Tokens with another prefix are refused.
	// Default "key".
	Prefix string

	// MaxKeysPerOwner is how many keys an owner may have that are neither revoked
	// nor expired. A key in the grace period of a rotation does not count while its
	// successor counts, so up to twice as many keys can work. An Entitlement's
	// MaxKeys overrides it. Negative means no limit. Default 5.
	MaxKeysPerOwner int

	// Entitlements says what each owner's plan allows. If it is an
	// [entitlement.Watcher], the Manager watches it for changes until Close. Nil
	// entitles every owner to everything, which is right only without plans.
	Entitlements entitlement.Provider

	// CacheTTL is how long a cached key or entitlement may be used without another
	// look-up. An entry expires up to a tenth earlier, so that entries that were
	// loaded together do not expire together. An entry in use is reloaded in the
	// background in the last fifth of its life. A change made through another
	// Manager is seen within the longer of CacheTTL and StaleIfError if there is no
	// Bus or the Bus fails. Changes made through this Manager are seen at once.
	// Default 60 s.
	CacheTTL time.Duration

	// NegativeTTL is the CacheTTL of unknown tokens, and of owners who are not
	// entitled. For such owners, a longer NegativeTTL counts as 5 s. Default 5 s.
	NegativeTTL time.Duration

	// StaleIfError is the age up to which a cached key or entitlement is served after
	// its CacheTTL if its look-up fails, or has not returned after 50 ms. The age
	// counts from the start of the last look-up that succeeded. After a failed look-up,
	// the key is served for up to another CacheTTL without a new look-up, but never
	// beyond StaleIfError. So the look-ups are spread out when the store is back. A
	// look-up that was refused because too many others were running does not count as
	// failed.
	//
	// So even if the store is only slow, a key that another Manager has revoked can
	// remain valid for StaleIfError after its look-up, unless the Bus invalidates it.
	// Default 0: once CacheTTL has passed, requests wait for the look-up, and get
	// 503 if it fails.
	StaleIfError time.Duration

	// CacheSize is the number of cached keys, at about 510 bytes each, and of
	// cached entitlements if Entitlements is set. Default 100,000, at most
	// 100,000,000.
	CacheSize int

	// TouchInterval is the minimum time between two writes of a key's last-used
	// time. Default 5 min.
	TouchInterval time.Duration

	// CallTimeout bounds each call to the store or the provider. Default 3 s. If too many calls
	// are running, a call first waits: a validation of an unknown token for up to a quarter of
	// CallTimeout, a validation of a known key for up to four times CallTimeout, and any other
	// call for up to CallTimeout. With a Bus or a SharedCache, a change can take up to 4.5 s
	// longer. A call to the SharedCache is bounded by 500 ms or a quarter of CallTimeout,
	// whichever is less.
	CallTimeout time.Duration

	// Headers lists the request headers that may carry the token: "Authorization", as
	// a Bearer token, or another one, such as "X-API-Key", whose value is the token. A
	// request with more than one credential is refused. Default {"Authorization"}.
	Headers []string

	// Realm names the service in WWW-Authenticate. Default "api".
	Realm string

	// MACKeys put a MAC into each new token, so that forged tokens are refused without
	// a look-up in the store. Set them in every public service: without them, anyone
	// can make tokens with a correct checksum, each of which costs a look-up. Each key
	// has at least 32 random bytes and is the same in every instance. The first key
	// makes new MACs. MACs of the other keys are still accepted, so you replace a key
	// by putting the new one before it. With MACKeys, tokens without a MAC are refused
	// unless AcceptWithoutMAC is set. Empty but not nil is refused. Default nil: no MAC.
	MACKeys [][]byte

	// AcceptWithoutMAC also accepts tokens that were issued before MACKeys were set:
	// tokens with the same Prefix and a correct checksum, but without a MAC. To
	// introduce MACs to a running system, set it until those keys are rotated or
	// expired. Until then, a forger can leave the MAC out. It needs MACKeys.
	AcceptWithoutMAC bool

	// LegacyFormats match the tokens of an earlier system, whose digests were
	// imported with [Manager.Register]. A pattern must match the whole token. A
	// token has at most 512 bytes, all of them visible ASCII characters. A token
	// in the form of this Manager, that is the Prefix and 36 or 44 base62
	// characters, is never a legacy token, even if a pattern matches it.
	LegacyFormats []*regexp.Regexp

	// Bus carries changes of keys, and of plans by [Manager.InvalidateOwner], to the
	// other instances of the service, which then see them within milliseconds.
	// Cached entries expire after 10 s while the bus is down, for 5 minutes after
	// another instance ended without Close, and for CacheTTL after another
	// instance's Close if the bus has no secret. If the store or provider fails
	// too, StaleIfError applies. A change that cannot be published returns
	// [ErrNotPropagated]. The Manager does not close the Bus. Packages
	// cache/rediscache and store/pgstore have one. Nil means that this is the only
	// instance, or that other instances see changes within the longer of CacheTTL and
	// StaleIfError.
	Bus cache.Bus

	// SharedCache is a cache that the instances share, so that an instance that starts
	// need not look up every key in the store. The Manager trusts its entries, so the
	// SharedCache must return only what this service wrote; cache/rediscache
	// authenticates entries with a secret. While fewer than one look-up in 16 finds an
	// entry, the SharedCache gets at most 250 look-ups a second, since more would make
	// validations slower than the store alone. The Manager does not close it. Nil
	// means none.
	SharedCache cache.Shared

	// Logger gets management events, outages, and refusals at debug level. Nil
	// discards them.
	Logger *slog.Logger

	// OnEvent gets every [Event], for an audit trail. It is called from many
	// goroutines, and the Manager's call waits for it. It must be quick, since every
	// refused request is an event. It must not panic, since the token of a key that
	// was just created would be lost. Nil means none.
	OnEvent func(context.Context, Event)

	// ErrorHandler writes the response to a request that Require refuses. The
	// headers WWW-Authenticate, Retry-After and Cache-Control are already set, and
	// the request no longer has the credential. [StatusCode] returns the status. If
	// ErrorHandler is nil or writes nothing, the response has problem details
	// (RFC 9457) as JSON.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

const maxCacheSize = 100_000_000

// minDuration is the minimum of each duration that is not zero. A shorter one is a mistake,
// such as 60 instead of 60*time.Second.
const minDuration = time.Millisecond

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
	setDefault(&d.CallTimeout, 3*time.Second)
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
		{"CallTimeout", o.CallTimeout},
	} {
		if d.value < 0 || d.value > cache.MaxDuration {
			return &InvalidError{Field: d.field, Reason: "must be 0, or 1 ms to 366 days"}
		}
		if d.value != 0 && d.value < minDuration {
			return &InvalidError{Field: d.field, Reason: "must be 0, or 1 ms to 366 days; has the number no unit? 60 is 60 ns, 60*time.Second is a minute"}
		}
	}
	if o.CacheSize < 0 || o.CacheSize > maxCacheSize {
		return &InvalidError{Field: "CacheSize", Reason: "must be 0 to 100,000,000"}
	}
	for field, v := range map[string]any{"Entitlements": o.Entitlements, "Bus": o.Bus, "SharedCache": o.SharedCache} {
		if v != nil && isNil(v) {
			return &InvalidError{Field: field, Reason: "must not be a nil pointer or func"}
		}
	}
	return validateRealm(o.Realm)
}
