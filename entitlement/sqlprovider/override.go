package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/internal/text"
)

// maxOverride is in bytes of JSON. The smallest text column holds twice as
// many.
const maxOverride = 32 << 10

// SetOverride stores the owner's override, which replaces fields of the owner's
// plan, whichever plan that is. It replaces an earlier override. A zero
// Override removes it. An override takes effect when the owner has a
// subscription; it grants nothing without one.
//
// It returns an [*entitlement.InvalidError] if the owner is not 1 to 255 bytes of UTF-8
// without control characters, if [entitlement.Override.Check] returns an error,
// if a feature is not UTF-8, or if the JSON is longer than 32 KiB.
func (p *Provider) SetOverride(ctx context.Context, owner string, o entitlement.Override) error {
	err := invalid("Owner", text.CheckID(owner))
	var document any
	if err == nil {
		document, err = overrideDocument(o)
	}
	if err != nil {
		return wrap("set override", err)
	}
	n, err := p.exec(ctx, p.sql.setOverride, owner, document, time.Now().UnixMicro())
	if err == nil && n == 0 {
		var stored entitlement.Override
		if stored, err = p.Override(ctx, owner); err == nil && !reflect.DeepEqual(stored, o) {
			err = sqldb.ErrSkipped
		}
	}
	return wrap("set override", err)
}

// Override returns what [Provider.SetOverride] has stored for the owner, or the
// zero Override if there is none.
func (p *Provider) Override(ctx context.Context, owner string) (entitlement.Override, error) {
	stored, err := collect(ctx, p, scanOverride, p.sql.override, owner)
	if err != nil || len(stored) == 0 {
		return entitlement.Override{}, wrap("override", err)
	}
	if stored[0].Owner != owner {
		return entitlement.Override{}, wrap("override", mismatch(owner, stored[0].Owner))
	}
	return stored[0].override, nil
}

// overrideDocument returns the stored form of an override. The row of a removed
// override stays, so that a Watch sees the removal.
func overrideDocument(o entitlement.Override) (any, error) {
	if o.IsZero() {
		return nil, nil
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	b, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if len(b) > maxOverride {
		return nil, invalid("override", fmt.Errorf("%d bytes of JSON, want at most %d", len(b), maxOverride))
	}
	// The JSON encoder silently replaces bytes that are not UTF-8.
	var read entitlement.Override
	if err := read.UnmarshalJSON(b); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(read, o) {
		return nil, invalid("override", errors.New("a feature is not valid UTF-8"))
	}
	return string(b), nil
}

// An overrideColumn scans an override. NULL is the zero one.
type overrideColumn struct{ to *entitlement.Override }

// Scan implements sql.Scanner.
func (c overrideColumn) Scan(src any) error {
	var text sql.NullString
	if err := text.Scan(src); err != nil || !text.Valid {
		return err
	}
	return c.to.UnmarshalJSON([]byte(text.String))
}

func scanOverride(rows *sql.Rows) (r row, err error) {
	err = rows.Scan(&r.Owner, overrideColumn{&r.override})
	return r, err
}
