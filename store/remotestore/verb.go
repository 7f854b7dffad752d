package remotestore

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/keyhatch/keyhatch/internal/strictjson"
	"github.com/keyhatch/keyhatch/store"
)

// Maximum sizes in bytes. A record with the largest fields that a Manager allows
// needs less than half of maxQuestion, even if every byte is escaped.
const (
	maxQuestion = 128 << 10
	maxRecord   = 64 << 10
	maxAll      = 64 << 20
)

// maxUses is the maximum number of uses in a request.
const maxUses = 1000

// A verb is a store method in the protocol.
type verb struct {
	name   string // the last element of the path
	writes bool
	most   int64   // maximum length of a response, in bytes
	may    []error // the sentinels that the method may return
}

var (
	verbInsert    = verb{"insert", true, maxRecord, []error{store.ErrDuplicate, store.ErrConflict, store.ErrLimit}}
	verbLookup    = verb{"lookup", false, maxRecord, []error{store.ErrNotFound}}
	verbGet       = verb{"get", false, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound}}
	verbList      = verb{"list", false, store.MaxPage * maxRecord, nil}
	verbCount     = verb{"count", false, maxRecord, nil}
	verbUpdate    = verb{"update", true, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound, store.ErrConflict}}
	verbRevoke    = verb{"revoke", true, maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound}}
	verbRevokeAll = verb{"revoke_all", true, maxAll, nil}
	verbRotate    = verb{"rotate", true, 2 * maxRecord, []error{store.ErrOwnerMismatch, store.ErrNotFound, store.ErrConflict, store.ErrDuplicate}}
	verbTouch     = verb{"touch", true, maxRecord, nil}

	verbRevocations = verb{"revocations", false, maxRecord, []error{errors.ErrUnsupported}}
)

// outage returns the error of a call whose result is unknown.
func (v verb) outage(err error) error {
	if v.writes {
		return fmt.Errorf("remotestore: %s, which may or may not have happened: %w", v.name, err)
	}
	return fmt.Errorf("remotestore: %s: %w", v.name, err)
}

// A code stands for a sentinel in the protocol. The status alone is not enough: a
// proxy, or a wrong path, returns 404 too.
type code struct {
	text   string
	status int
	err    error
}

// ErrOwnerMismatch comes before ErrNotFound, which it matches.
var codes = []code{
	{"owner_mismatch", http.StatusNotFound, store.ErrOwnerMismatch},
	{"not_found", http.StatusNotFound, store.ErrNotFound},
	{"duplicate", http.StatusConflict, store.ErrDuplicate},
	{"limit", http.StatusConflict, store.ErrLimit},
	{"conflict", http.StatusConflict, store.ErrConflict},
	{"unsupported", http.StatusNotImplemented, errors.ErrUnsupported},
}

// codeOf returns the code for an error that the method may return.
func (v verb) codeOf(err error) (code, bool) {
	for _, c := range codes {
		if errors.Is(err, c.err) && slices.Contains(v.may, c.err) {
			return c, true
		}
	}
	return code{}, false
}

// sentinelOf returns the error for a response whose status is not 200.
func (v verb) sentinelOf(status int, answer []byte) error {
	var told refusal
	if err := strictjson.DecodeCanonical(answer, &told); err != nil {
		return v.outage(err)
	}
	for _, c := range codes {
		if c.text == told.Code && c.status == status && slices.Contains(v.may, c.err) {
			return c.err
		}
	}
	return v.outage(fmt.Errorf("status %d with a code that the method never returns", status))
}
