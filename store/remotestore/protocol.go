package remotestore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/keyhatch/keyhatch/internal/recordjson"
	"github.com/keyhatch/keyhatch/internal/strictjson"
	"github.com/keyhatch/keyhatch/internal/text"
	"github.com/keyhatch/keyhatch/store"
)

// contentType is the media type of requests and responses. No proxy's error page
// has it.
const contentType = "application/vnd.keyhatch.store+json"

// timeoutHeader is the request header with the time, in milliseconds, after which the
// handler ends the store's call. A call that ends only when the client disconnects
// could not report that the store was busy.
const timeoutHeader = "Keyhatch-Timeout"

// Maximum sizes in bytes. A record with the largest fields that a Manager allows
// needs less than half of maxRequest, even if every byte is escaped.
const (
	maxRequest = 128 << 10
	maxRecord  = 64 << 10
	maxAll     = 64 << 20
)

// An operation is a store method in the protocol. Each has a file of its own, with the
// request, the response, the method of the [Store] and the code of the [Handler].
type operation struct {
	name        string // the last element of the path
	writes      bool
	maxResponse int64   // in bytes
	sentinels   []error // errors that the method may return, in addition to ErrBusy
	serve       func(ctx context.Context, st store.Store, request []byte) (response any, err error)
}

var operations = []operation{
	opInsert, opLookup, opGet, opList, opCount, opUpdate, opRevoke, opRevokeAll, opRotate, opTouch, opRevocations,
}

// errMalformed is the error for a request that is not passed to the store.
var errMalformed = errors.New("malformed request")

func serve[Request, Response any](call func(context.Context, store.Store, Request) (Response, error)) func(context.Context, store.Store, []byte) (any, error) {
	return func(ctx context.Context, st store.Store, request []byte) (any, error) {
		var decoded Request
		if strictjson.DecodeCanonical(request, &decoded) != nil {
			return nil, errMalformed
		}
		return call(ctx, st, decoded)
	}
}

// notSent returns the error of a call that sent nothing.
func (o operation) notSent(err error) error {
	return fmt.Errorf("remotestore: %s: nothing was sent: %w", o.name, err)
}

// outage returns the error of a call whose result is unknown.
func (o operation) outage(err error) error {
	if o.writes {
		return fmt.Errorf("remotestore: %s, which may or may not have happened: %w", o.name, err)
	}
	return fmt.Errorf("remotestore: %s: %w", o.name, err)
}

// errMismatch is the error for a well-formed response that does not belong to the
// request.
var errMismatch = errors.New("the response does not belong to the request")

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
	{"busy", http.StatusServiceUnavailable, store.ErrBusy},
}

func (o operation) mayReturn(sentinel error) bool {
	return sentinel == store.ErrBusy || slices.Contains(o.sentinels, sentinel)
}

// A refusal is the body of a response that stands for a sentinel.
type refusal struct {
	Code string `json:"code"`
}

// codeOf returns the code for an error that the method may return.
func (o operation) codeOf(err error) (code, bool) {
	for _, c := range codes {
		if errors.Is(err, c.err) && o.mayReturn(c.err) {
			return c, true
		}
	}
	return code{}, false
}

// sentinelOf returns the error for a response whose status is not 200.
func (o operation) sentinelOf(status int, response []byte) error {
	var r refusal
	if err := strictjson.DecodeCanonical(response, &r); err != nil {
		return o.outage(err)
	}
	for _, c := range codes {
		if c.text == r.Code && c.status == status && o.mayReturn(c.err) {
			return c.err
		}
	}
	return o.outage(fmt.Errorf("status %d with a code that the method never returns", status))
}

// Bodies that several operations share. A field of a response that must be present is
// a pointer, so that decoding shows its absence. An owner and an id may be empty in a
// request: no record has such an owner or id, so the store returns ErrNotFound.

type doneResponse struct {
	Done bool `json:"done"` // always true
}

type recordResponse struct {
	Record recordjson.Record `json:"record"`
}

// recordResult returns the response for the results of a store method.
func recordResult(r store.Record, err error) (recordResponse, error) {
	if err != nil {
		return recordResponse{}, err
	}
	sent, err := encodeRecord(r)
	return recordResponse{sent}, err
}

// encodeRecord converts a record that either side sends.
func encodeRecord(r store.Record) (recordjson.Record, error) {
	sent, err := recordjson.Of(r)
	return sent, errors.Join(checkComplete(r), err)
}

func encodeRecords(rs []store.Record) ([]recordjson.Record, error) {
	sent := make([]recordjson.Record, len(rs)) // an empty list is [], not null
	for i, r := range rs {
		var err error
		if sent[i], err = encodeRecord(r); err != nil {
			return nil, err
		}
	}
	return sent, nil
}

// decodeRecord converts a record that either side received.
func decodeRecord(received recordjson.Record) (store.Record, error) {
	r := received.Stored()
	if err := checkComplete(r); err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// decodeRecordOf is like [decodeRecord], but the record must have this owner and id.
func decodeRecordOf(received recordjson.Record, owner, id string) (store.Record, error) {
	r, err := decodeRecord(received)
	if err == nil && (r.Owner != owner || r.ID != id) {
		err = errMismatch
	}
	return r, err
}

func decodeRecords(received []recordjson.Record) ([]store.Record, error) {
	var rs []store.Record
	for _, one := range received {
		r, err := decodeRecord(one)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// checkComplete returns an error if r lacks a field that every record has.
func checkComplete(r store.Record) error {
	if r.ID == "" || r.Owner == "" || r.Digest.IsZero() || r.CreatedAt.IsZero() {
		return errors.New("a record lacks an id, owner, digest or creation time")
	}
	return nil
}

// hasDuplicates reports whether two records have the same id or digest.
func hasDuplicates(records []store.Record) bool {
	ids, digests := map[string]bool{}, map[store.Digest]bool{}
	for _, r := range records {
		if ids[r.ID] || digests[r.Digest] {
			return true
		}
		ids[r.ID], digests[r.Digest] = true, true
	}
	return false
}

var errNotUTF8 = errors.New("a string is not valid UTF-8")

// checkUTF8 returns an error if a string is not valid UTF-8. The JSON encoder would
// replace the invalid bytes, so that the request could name another owner.
func checkUTF8(texts ...string) error {
	if !text.AreUTF8(texts...) {
		return errNotUTF8
	}
	return nil
}
