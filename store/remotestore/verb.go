package remotestore

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/keyhatch/keyhatch/store"
)

// Bounds on what is read, in bytes. A record with all that a Manager lets into
// one stays below half of maxQuestion, though every byte be escaped.
const (
	maxQuestion = 128 << 10
	maxRecord   = 64 << 10
	maxAll      = 64 << 20
)

// maxUses is how many uses a question holds.
const maxUses = 1000

// A verb is one method of a store on the wire.
type verb struct {
	name   string // the last part of the path
	writes bool
	most   int64   // bytes of an answer
	may    []error // the sentinels that it may answer with
}

var (
	verbInsert    = verb{"insert", true, maxRecord, []error{store.ErrDuplicate, store.ErrLimit}}
	verbLookup    = verb{"lookup", false, maxRecord, []error{store.ErrNotFound}}
	verbGet       = verb{"get", false, maxRecord, []error{store.ErrForeignOwner, store.ErrNotFound}}
	verbList      = verb{"list", false, store.MaxPage * maxRecord, nil}
	verbCount     = verb{"count", false, maxRecord, nil}
	verbUpdate    = verb{"update", true, maxRecord, []error{store.ErrForeignOwner, store.ErrNotFound, store.ErrConflict}}
	verbRevoke    = verb{"revoke", true, maxRecord, []error{store.ErrForeignOwner, store.ErrNotFound}}
	verbRevokeAll = verb{"revoke_all", true, maxAll, nil}
	verbRotate    = verb{"rotate", true, 2 * maxRecord, []error{store.ErrForeignOwner, store.ErrNotFound, store.ErrConflict, store.ErrDuplicate}}
	verbTouch     = verb{"touch", true, maxRecord, nil}

	verbRevocations = verb{"revocations", false, maxRecord, []error{errors.ErrUnsupported}}
)

// outage is the error of a call whose answer is not known.
func (v verb) outage(err error) error {
	if v.writes {
		return fmt.Errorf("remotestore: %s, which may or may not have happened: %w", v.name, err)
	}
	return fmt.Errorf("remotestore: %s: %w", v.name, err)
}

// A code is how a sentinel is told. The status alone says nothing: a proxy, or
// a path that is wrong, answers 404 too.
type code struct {
	text   string
	status int
	err    error
}

// ErrForeignOwner comes before ErrNotFound, which it matches.
var codes = []code{
	{"foreign_owner", http.StatusNotFound, store.ErrForeignOwner},
	{"not_found", http.StatusNotFound, store.ErrNotFound},
	{"duplicate", http.StatusConflict, store.ErrDuplicate},
	{"limit", http.StatusConflict, store.ErrLimit},
	{"conflict", http.StatusConflict, store.ErrConflict},
	{"unsupported", http.StatusNotImplemented, errors.ErrUnsupported},
}

// codeOf finds the code for an error that the verb may answer with.
func (v verb) codeOf(err error) (code, bool) {
	for _, c := range codes {
		if errors.Is(err, c.err) && slices.Contains(v.may, c.err) {
			return c, true
		}
	}
	return code{}, false
}

// sentinelOf is the error of an answer that is not 200.
func (v verb) sentinelOf(status int, answer []byte) error {
	var told refusal
	if err := decode(answer, &told); err != nil {
		return v.outage(err)
	}
	for _, c := range codes {
		if c.text == told.Code && c.status == status && slices.Contains(v.may, c.err) {
			return c.err
		}
	}
	return v.outage(fmt.Errorf("status %d with a code that is no answer to it", status))
}
