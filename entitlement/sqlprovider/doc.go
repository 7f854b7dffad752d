// Package sqlprovider keeps the plans of owners in a SQL database that the host
// already has, through [database/sql]. It imports no driver. The host opens the
// *sql.DB, names the dialect of the database, and closes the *sql.DB at the
// end.
//
//	plans, err := sqlprovider.New(db, sqlstore.PostgreSQL, catalog, nil)
//	err = plans.Migrate(ctx)
//	keys, err := apikey.New(st, &apikey.Options{Entitlements: plans})
//
// [Provider.Put] and [Provider.PutHold] store the states that the billing system
// reports, from a webhook or from a job that polls it. [Provider.SetOverride]
// stores the override that support grants to one owner. SetOverride does not
// change subscriptions and holds, and Put and PutHold do not change overrides.
// [Provider.Watch] reports all these writes, by any process, to the Manager.
//
// # Order
//
// Billing systems send events late, twice and in any order. Put and PutHold take
// complete states and never steps. In one atomic statement, the database keeps the
// newer one of two states of a subscription or hold. So any number of processes may
// write any number of times in any order, with the same result.
//
// # Events
//
// Package webhook also stores the IDs of the events that it has processed. It
// saves rejected events, which it could not use, with their bodies, which
// contain personal data. [Provider.Rejected] returns them, so that you can fix
// the cause. Call [Provider.Prune] every day to delete events that are
// older than a month. That is longer than billing systems retry. An event that
// comes again after its deletion cannot replace a newer state.
//
// # Tables
//
// [Provider.Migrate] creates the tables and keeps them up to date. You can also
// run the files in the folder schema with a migration tool of your own. There
// is one folder for each dialect and one file for each version. If [Options]
// set other table names, use those names in the files. Migrate accepts tables
// that were created in this way.
//
// If you run the files yourself, call Migrate too. It refuses plans that the
// catalog does not have, connections with settings that would corrupt text, and a
// database that may leave out rows. From then on, every statement names the schema
// of the tables.
//
// Migrate needs the right to create tables and indexes. The other methods need
// SELECT, INSERT and UPDATE, and DELETE for [Provider.Prune].
//
// The supported databases, drivers and settings are those of package sqlstore.
// Its documentation also states which settings are recommended and how durable
// a write is that has returned. Migrate refuses MariaDB's sql_mode
// EMPTY_STRING_IS_NULL.
//
// # Errors
//
// [entitlement.ErrNone] means that the owner has bought nothing, and store.ErrBusy
// that other calls had all connections of the pool. Every other error of
// [Provider.Entitlement] means an outage: the database cannot be reached, it may
// leave out rows (for example because of row-level security), or it holds a row that
// this package cannot have written, such as one with an unknown status. Such a row
// grants nothing. It is not skipped either, since it may be the one that takes access
// away.
//
// If a write returns an error of the database, it may or may not have taken
// effect. Repeat it: a repeated write changes nothing.
package sqlprovider
