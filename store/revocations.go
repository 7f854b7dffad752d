package store

import "context"

// A RevocationCounter is a [Store] that counts revocations. The count shows whether
// a database was rolled back to an earlier state. The interface is optional.
type RevocationCounter interface {
	// Revocations returns how many records Revoke, RevokeAll and Rotate have
	// revoked. The count changes in the same transaction as the records, and a call
	// that starts after a revocation has returned counts it. It never decreases,
	// except if the records are rolled back too.
	//
	// A store that calls another one, for example over a network, returns an error
	// that matches [errors.ErrUnsupported] if the other store does not count.
	Revocations(ctx context.Context) (Revocations, error)
}

// Revocations is a count of revocations.
type Revocations struct {
	// Lineage identifies the tables that hold the count. It is chosen when they are
	// created. A restored backup has the lineage of the original, and new tables
	// have another one, so that their counts are not compared.
	Lineage string

	Count int64
}
