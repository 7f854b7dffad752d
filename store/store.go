// Package store defines how keyhatch keeps its records: the [Store] interface,
// the [Record] it holds and the errors it returns. It has no implementation.
// Package storetest checks an implementation against every rule stated here.
package store

import (
	"context"
	"fmt"
	"time"
)

// A Store keeps the records of issued keys. Implementers adapt a database to it;
// users of keyhatch pass a Store to apikey.New and call the Manager.
//
// # Errors
//
// The sentinels of this package say something about a record and are matched with
// errors.Is. Any other error counts as an outage: the caller cannot know the state of the
// store, and a write that returned it may or may not have happened. The one exception is
// [ErrBusy], which does not count as an outage: the call's context ended while it waited
// for a connection, so it changed nothing. A store returns it only if other calls had all
// connections and the database replied to some of them meanwhile. If it cannot be sure, for
// example because the server may be down, it returns another error.
//
// # Owners
//
// The owner is an opaque, non-empty string. A call for another owner's key
// returns [ErrNotFound] and changes nothing. A store that knows, without another
// query, that the key exists under another owner returns [ErrOwnerMismatch],
// which matches ErrNotFound, so that the attempt can be audited.
//
// # Time
//
// A store never reads the clock: every instant is an argument. Times are kept in UTC to the
// microsecond, and callers must truncate times to microseconds. The zero time means never; it is
// not an instant.
//
// The clocks of processes differ, and a call may wait for others before it takes effect. A store
// therefore keeps the latest instant of each owner: the latest one among all writes that took
// effect. The instant of a write is r.CreatedAt of Insert, next.CreatedAt of Rotate, c.At of
// Update, and at of Revoke and RevokeAll. A write takes effect at its own instant or at the
// owner's latest one, whichever is later. So time never goes backwards in the order in which an
// owner's writes take effect: if one write treats a key as expired, every later write does. A
// write records its own instant. A read uses the given instant.
//
// A write from an instance whose clock is ahead by d moves the owner's latest
// instant ahead by d. Until the other clocks catch up, their writes treat that
// owner's keys as expired up to d too early. Validations are not affected.
//
// No write makes a record end between its own instant and the owner's latest one: such a
// record would never count, but would work on an instance with a slower clock. So Insert and
// Update refuse such an expiry, and Rotate revokes a record whose grace period would end so
// early. On an instance with a slower clock, keys that have just expired still work for a
// moment together with the keys that replaced them.
//
// Some calls work no matter how far ahead another clock was: Revoke, RevokeAll, Rotate
// without a grace period, Update without an expiry, and Insert without one.
//
// # Concurrency and aliasing
//
// All methods may be called from many goroutines, and from many processes if they
// share the database. Each method is atomic: it takes effect in full or not at
// all, even if the process dies during the call. When a method has returned nil, its
// effect is as durable as the store documents, and every call that starts later
// sees it. A store keeps no reference to the slices and maps that it receives, and
// returns none that it keeps. It need not distinguish empty from nil ones.
//
// If its context ends, a call returns ErrBusy or an error other than the sentinels.
// The Manager stops waiting for a call that ignores its context.
//
// # Rules
//
// The rules by which records change and count are the same in every store:
// [Record.CountsAgainstLimit], [Record.IsCurrent], [Record.WithChange], [Record.WithRevocation],
// [Record.WithSuccessor] and [Record.WithUse] define them.
type Store interface {
	// Insert adds a record.
	//
	// It returns [ErrDuplicate] if any owner's record has the digest or the id. Otherwise
	// it returns [ErrConflict] if r expires after r.CreatedAt but not after the owner's
	// latest instant. A record that had already expired when it was created, as an imported
	// one may have, is stored. Otherwise Insert returns [ErrLimit] if the owner already has
	// limit records that count (see [Record.CountsAgainstLimit]) at r.CreatedAt, or at the
	// owner's latest instant if that is later. A negative limit means no limit. The check
	// and the insert are one step, so concurrent calls never exceed the limit.
	Insert(ctx context.Context, r Record, limit int) error

	// Lookup returns the record with this digest, even if it is revoked, expired
	// or disabled. It returns [ErrNotFound] if there is none.
	Lookup(ctx context.Context, d Digest) (Record, error)

	// Get returns the owner's record with this id, or [ErrNotFound].
	Get(ctx context.Context, owner, id string) (Record, error)

	// List returns a page of the owner's records, newest first: by CreatedAt,
	// then by ID, both descending. An owner without records has an empty page.
	// Records that are inserted while a caller reads the pages do not make the list repeat or
	// omit older ones.
	//
	// A page has only records that match the query's [Filter] when the page is
	// read. Every page except the last has [Query.PageSize] records. If
	// [Query.Validate] returns an error, List returns no records and an error other
	// than the sentinels.
	List(ctx context.Context, q Query) (Page, error)

	// Count returns how many of the owner's records count against a limit at
	// the given instant; see [Record.CountsAgainstLimit].
	Count(ctx context.Context, owner string, at time.Time) (int, error)

	// Update changes the fields that c names and no others, and returns the changed record.
	// It returns [ErrConflict] if the record is revoked, if c changes the expiry of a
	// record that was replaced or has expired, or if the new expiry has passed. Expiries
	// are evaluated at c.At, or at the owner's latest instant if that is later.
	Update(ctx context.Context, owner, id string, c Change) (Record, error)

	// Revoke ends a record permanently and returns it. It is idempotent: the time and
	// reason of the first call stay. changed reports whether this call revoked it.
	Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r Record, changed bool, err error)

	// RevokeAll revokes up to [RevokeBatch] of the owner's records that are not revoked
	// yet, and returns them in their revoked state. If it returns fewer, none is left;
	// otherwise the caller calls again. So no transaction grows with the number of keys. It
	// returns no records and no error if the owner has none.
	RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]Record, error)

	// Rotate replaces the owner's record id by next, in one transaction.
	//
	// The caller sets ID, Digest, Hint and CreatedAt of next. Rotate copies Owner,
	// Name, CreatedBy, Scopes, Metadata and ExpiresAt from the old record as the
	// transaction finds it, so that no concurrent change is lost. It sets
	// ReplacedBy of the old record to next.ID. The old record ends at oldEnds, or
	// at its own expiry if that is earlier. Unless oldEnds is after both next.CreatedAt
	// and the owner's latest instant, the old record is revoked at next.CreatedAt for
	// the reason [ReasonRotated]. Rotate returns both records as they are afterwards.
	//
	// The old record must not have been replaced and must be usable at
	// next.CreatedAt. If oldEnds is after next.CreatedAt, it must also be usable at
	// the owner's latest instant if that is later. Otherwise Rotate returns
	// [ErrConflict], so only one of several concurrent rotations of a record
	// succeeds. [ErrDuplicate] is as for Insert.
	//
	// If the old record is not revoked, Rotate also checks the limit: it returns ErrConflict if
	// more than limit records would count after the rotation. One reason may be that the old
	// record's own predecessor still works. A negative limit means no limit. A rotation that ends
	// the old record at once never returns ErrConflict because of the limit. Afterwards, more
	// than limit records may count, but no more records work than before.
	Rotate(ctx context.Context, owner, id string, next Record, oldEnds time.Time, limit int) (old, now Record, err error)

	// Touch records uses; see [Record.WithUse]. LastUsedAt only moves forward, with
	// one exception: a LastUsedAt that is later than a use by more than
	// [WrongClock] is replaced by that use, unless the use is older than the
	// record. Touch ignores unknown and revoked records. The caller sorts the uses
	// by digest, without duplicates, and a store locks records in that order, so
	// that two batches cannot deadlock.
	Touch(ctx context.Context, uses []Use) error
}

// RevokeBatch is the maximum number of records that one call of RevokeAll revokes.
const RevokeBatch = 1000

// ReasonRotated is the RevokeReason of a record that Rotate ended at once.
const ReasonRotated = "rotated"

// A Change holds the fields that Update sets. A nil field is not changed.
type Change struct {
	At         time.Time // the instant of the change
	Name       *string
	Scopes     []string          // empty but not nil: none
	Metadata   map[string]string // empty but not nil: none
	ExpiresAt  *time.Time        // zero: never
	DisabledAt *time.Time        // zero: enabled
}

// A Use is one use of a key.
type Use struct {
	Digest Digest
	At     time.Time
}

// MaxPage is the maximum number of records on a page.
const MaxPage = 100

// A Filter selects which of an owner's records List returns. Revoked and expired
// records are never deleted and soon outnumber the others.
type Filter string

const (
	FilterAll     Filter = ""        // every record
	FilterCurrent Filter = "current" // records for which [Record.IsCurrent] is true: active or disabled
	FilterEnded   Filter = "ended"   // the others: revoked or expired
)

// A Query selects a page of an owner's records.
type Query struct {
	Owner  string
	Filter Filter    // the zero Filter is FilterAll
	At     time.Time // the instant at which the Filter is evaluated; FilterAll ignores it
	After  Cursor    // Page.Next of the previous page; zero means the first page
	Limit  int       // records on the page, 1 to MaxPage; any other value means MaxPage
}

// Validate returns an error if Filter is unknown, or if At is zero and Filter is not
// FilterAll.
func (q Query) Validate() error {
	switch {
	case q.Filter != FilterAll && q.Filter != FilterCurrent && q.Filter != FilterEnded:
		return fmt.Errorf("store: query: unknown filter %q", q.Filter)
	case q.Filter != FilterAll && q.At.IsZero():
		return fmt.Errorf("store: query: At is required for the filter %q", q.Filter)
	}
	return nil
}

// Matches reports whether r matches the query's filter. It does not check the owner or
// the cursor.
func (q Query) Matches(r Record) bool {
	switch q.Filter {
	case FilterAll:
		return true
	case FilterCurrent:
		return r.IsCurrent(q.At)
	}
	return !r.IsCurrent(q.At)
}

// PageSize returns the number of records on a full page: q.Limit within its bounds.
func (q Query) PageSize() int {
	if q.Limit < 1 || q.Limit > MaxPage {
		return MaxPage
	}
	return q.Limit
}

// A Cursor is a position in an owner's list. It stays valid when records change,
// and works with every Filter and every Query.At. The zero Cursor is the start of
// the list in a Query, and its end in a Page.
type Cursor struct {
	CreatedAt time.Time
	ID        string
}

// IsZero reports whether c is the zero Cursor.
func (c Cursor) IsZero() bool { return c.ID == "" && c.CreatedAt.IsZero() }

// A Page is one page of a list.
type Page struct {
	Records []Record
	Next    Cursor // position of the next page; zero on the last page
}
