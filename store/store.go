// Package store defines how keyhatch keeps its records: the [Store] interface,
// the [Record] it holds and the errors it answers with. It holds no
// implementation; package storetest checks one against everything promised
// here.
package store

import (
	"context"
	"errors"
	"time"
)

// A Store keeps the records of issued keys. It is written by those who bring a
// database; users of keyhatch hand one to apikey.New and call the Manager.
//
// # Errors
//
// The sentinels of this package say something about a record and are matched
// with errors.Is. Any other error is an outage: the caller cannot know what the
// store holds, and a write that failed so may or may not have happened.
//
// # Owners
//
// The owner is an opaque, non-empty string. A call for another owner's key
// answers [ErrNotFound] and changes nothing. A store that can tell, at no
// cost, that the key exists under another owner answers [ErrForeignOwner],
// which matches ErrNotFound, so that the attempt can be audited.
//
// # Time
//
// A store never reads the clock: every instant is an argument. Times are kept
// in UTC to the microsecond, and callers pass no finer ones. The zero time
// means never, so that nothing happens at it.
//
// The clocks of processes differ, and a call may wait for others before it takes
// effect. A store therefore keeps the latest instant of each owner, which is that of
// the writes that took effect: r.CreatedAt of Insert, next.CreatedAt of Rotate, c.At
// of Update, and at of Revoke and RevokeAll. A write is judged by its own instant or by the
// owner's latest one, whichever is later, so that in the order in which an owner's
// writes take effect time never goes backwards: a key that one write took for
// expired is expired for every write after it. What a write records is its own
// instant. Reads are judged by the instant they are given.
//
// An instance whose clock is ahead moves the latest instant of the owners for which
// it writes. Until the other clocks have caught up, their writes take keys of such an
// owner for expired as much too early. Validations are not affected.
//
// # Concurrency and aliasing
//
// All methods may be called from many goroutines, and from many processes
// where the database is shared. Each method is atomic: it takes effect in full
// or not at all, also when the process dies halfway. A method that returned
// nil has made its effect durable to the degree that the store documents, and
// every call that starts later sees it. A store keeps no reference to slices
// and maps that it was given, and hands out none that it keeps. It need not
// keep empty and nil ones apart.
//
// A cancelled context ends a call with an error that is none of the sentinels.
// Stores heed it: whoever waits for one that does not gives up on it.
//
// # Rules
//
// How a record changes and what it counts as is the same in every store:
// [Record.CountsAgainstLimit], [Record.Live], [Record.Changed], [Record.Revoked],
// [Record.Rotated] and [Record.Used] say it.
type Store interface {
	// Insert adds a record.
	//
	// It answers [ErrDuplicate] when the digest or the id is taken, by any
	// owner, and otherwise [ErrLimit] when the owner already has limit records
	// that count (see [Record.CountsAgainstLimit]) at r.CreatedAt, or at the
	// owner's latest instant if that is later. A negative limit is no limit.
	// The check and the insert are one step: whatever the concurrency, no more
	// than limit records are admitted.
	Insert(ctx context.Context, r Record, limit int) error

	// Lookup finds the record with this digest, whatever its state: a revoked
	// or expired one is an answer, not an absence. Otherwise [ErrNotFound].
	Lookup(ctx context.Context, d Digest) (Record, error)

	// Get finds the owner's record with this id, or answers [ErrNotFound].
	Get(ctx context.Context, owner, id string) (Record, error)

	// List returns a page of the owner's records, newest first: by CreatedAt,
	// then by ID, both descending. An owner without records has an empty page.
	// Records inserted while a caller walks the pages neither repeat nor hide
	// older ones.
	//
	// A page of a [Part] has that part's records alone, as they are when it is
	// read, and is as full as one of all: every page but the last has as many
	// records as were asked for. What [Query.Check] objects to is answered with
	// an error that is none of the sentinels, and never with records.
	List(ctx context.Context, q Query) (Page, error)

	// Count returns how many of the owner's records count against a limit at
	// the given instant; see [Record.CountsAgainstLimit].
	Count(ctx context.Context, owner string, at time.Time) (int, error)

	// Update changes the fields named by c and no others, and returns the
	// record as it now is. A revoked record never changes, and the expiry of
	// one that was replaced, or has expired at the later of c.At and the owner's
	// latest instant, never moves: both return [ErrConflict].
	Update(ctx context.Context, owner, id string, c Change) (Record, error)

	// Revoke ends a record for good and returns it. It is idempotent: the
	// first call's time and reason stay. Changed tells whether this call is
	// the one that revoked it.
	Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r Record, changed bool, err error)

	// RevokeAll revokes up to [RevokeBatch] of the owner's records that are not
	// revoked yet, and returns them as they now are. If it returns fewer, none is
	// left; otherwise the caller calls again. So no transaction grows with the
	// number of keys. An owner without records is no error.
	RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]Record, error)

	// Rotate replaces the owner's record id by next, in one transaction.
	//
	// The caller fills next.ID, Digest, Hint and CreatedAt; Owner, Name,
	// CreatedBy, Scopes, Metadata and ExpiresAt are taken from the old record
	// as the transaction finds it, so that a change made meanwhile is not
	// undone. The old record gets next.ID as its ReplacedBy and ends at
	// oldEnds, or at its own expiry when that is earlier; when oldEnds is not
	// after next.CreatedAt it is revoked at next.CreatedAt for the reason
	// [ReasonRotated]. Both records are returned as they now are.
	//
	// The old record must not have been replaced and must be usable at
	// next.CreatedAt, and at the owner's latest instant if that is later.
	// Otherwise Rotate returns [ErrConflict]: of any number of rotations of one
	// record, one wins. [ErrDuplicate] is as for Insert.
	//
	// If oldEnds is after next.CreatedAt, the limit holds as well: Rotate returns
	// ErrConflict if more than limit records would count after it, as when the old
	// record's own predecessor still works. A negative limit is no limit. A
	// rotation that ends the old record at once is never refused for the limit.
	// It may leave more than limit records counting, but no more working than
	// before.
	Rotate(ctx context.Context, owner, id string, next Record, oldEnds time.Time, limit int) (old, now Record, err error)

	// Touch records uses; see [Record.Used]. LastUsedAt only moves forward,
	// except that one later than a use by more than [WrongClock] is replaced by
	// it, unless the use is older than the record. Unknown and revoked records
	// are passed over. The uses come sorted by digest with none twice,
	// and stores lock in that order, so that two batches cannot deadlock.
	Touch(ctx context.Context, uses []Use) error
}

// RevokeBatch is the most records that one call of RevokeAll revokes.
const RevokeBatch = 1000

// ReasonRotated is the RevokeReason of a record that Rotate ended at once.
const ReasonRotated = "rotated"

// A Change names the fields that Update sets; nil ones stay as they are.
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

// MaxPage is the most records that a page holds, whatever a Query asks for.
const MaxPage = 100

// A Part is some of an owner's records: those that are over are kept for ever,
// and would bury the others in a list of all.
type Part string

const (
	All  Part = ""     // every record
	Live Part = "live" // those for which [Record.Live] holds
	Over Part = "over" // those for which it does not: revoked, expired or both
)

// A Query asks for a page of an owner's records.
type Query struct {
	Owner string
	Part  Part      // the zero Part: All
	At    time.Time // the instant that tells Live and Over apart; All ignores it
	After Cursor    // the zero Cursor: from the newest
	Limit int       // 1 to MaxPage; anything else means MaxPage
}

// Check is an error for a query that no store answers: for a part that is
// unknown, or for Live or Over at no instant.
func (q Query) Check() error {
	switch {
	case q.Part != All && q.Part != Live && q.Part != Over:
		return errors.New("store: a query for an unknown part")
	case q.Part != All && q.At.IsZero():
		return errors.New("store: a query for a part at no instant")
	}
	return nil
}

// Has reports whether r is in the part asked for. Whose it is, and where in the
// list, is not looked at.
func (q Query) Has(r Record) bool {
	switch q.Part {
	case All:
		return true
	case Live:
		return r.Live(q.At)
	}
	return !r.Live(q.At)
}

// Size is the most records that the page asked for holds: q.Limit within its
// bounds.
func (q Query) Size() int {
	if q.Limit < 1 || q.Limit > MaxPage {
		return MaxPage
	}
	return q.Limit
}

// A Cursor is a place between two records in the list of all. It remains one
// whatever becomes of the records, in every part and at every instant. The zero
// Cursor is the beginning of a list in a Query, and its end in a Page.
type Cursor struct {
	CreatedAt time.Time
	ID        string
}

// IsZero reports whether c is the zero Cursor.
func (c Cursor) IsZero() bool { return c.ID == "" && c.CreatedAt.IsZero() }

// A Page is a part of a list.
type Page struct {
	Records []Record
	Next    Cursor // where the next page begins; zero: this was the last
}
