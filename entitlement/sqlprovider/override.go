package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
)

// maxOverride is in bytes of JSON; the smallest text column takes twice as many.
const maxOverride = 32 << 10

// SetOverride keeps what the owner has in the place of what the plan says,
// whatever plan that is; it takes the place of the override before. A zero
// Override takes it back. It counts as soon as the owner has a subscription, and
// grants nothing without one. The error matches [ErrInvalid] for owners
// that Put does not take, for what [entitlement.Override.Check] refuses, for
// features that are not UTF-8, and for more than 32 KiB of JSON.
func (p *Provider) SetOverride(ctx context.Context, owner string, o entitlement.Override) error {
	err := checkOwner(owner)
	var document any
	if err == nil {
		document, err = overrideDocument(o)
	}
	if err != nil {
		return verb("set override", callers(err))
	}
	_, err = p.exec(ctx, p.sql.setOverride, owner, document, time.Now().UnixMicro())
	return verb("set override", err)
}

// Override returns what [Provider.SetOverride] keeps for the owner, and the zero
// Override where it keeps nothing.
func (p *Provider) Override(ctx context.Context, owner string) (entitlement.Override, error) {
	kept, err := collect(ctx, p, scanOverride, p.sql.override, owner)
	if err != nil || len(kept) == 0 {
		return entitlement.Override{}, verb("override", err)
	}
	if kept[0].Owner != owner {
		return entitlement.Override{}, verb("override", foreign(owner, kept[0].Owner))
	}
	return kept[0].override, nil
}

// overrideDocument is how an override is stored. The row of one that was taken
// back stays, or a Watch would not see that it was.
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
		return nil, fmt.Errorf("%d bytes of JSON, want at most %d", len(b), maxOverride)
	}
	// JSON is Unicode, and its encoder silently replaces what is not.
	var read entitlement.Override
	if err := read.UnmarshalJSON(b); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(read, o) {
		return nil, errors.New("it has text that is not UTF-8")
	}
	return string(b), nil
}

// An overrideColumn reads an override; NULL is the zero one.
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
