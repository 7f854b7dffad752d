// Package sqlprovider keeps the plans of owners in a SQL database that the host
// already has, through [database/sql]. It imports no driver. The host opens the
// *sql.DB, names the dialect of the database, and closes the *sql.DB at the
// end.
//
//	plans, err := sqlprovider.New(db, sqlstore.PostgreSQL, catalog, nil)
//	err = plans.Migrate(ctx)
//	keys, err := apikey.New(st, &apikey.Options{Entitlements: plans})
//
// Four methods store what an owner has:
//   - [Provider.Apply] stores what a billing system reports: subscriptions, payments,
//     refunds and disputes. Package webhook calls it for each event.
//   - [Provider.Put] stores a subscription that the host grants itself.
//   - [Provider.PutHold] stores a hold, with which the host takes access away.
//   - [Provider.SetOverride] stores the override that support grants to one owner.
//
// [Provider.Entitlement] returns what all of these grant together, and
// [Provider.Purchases] what is stored. [Provider.Watch] reports every write, by any
// process, to the Manager.
//
// # Order
//
// Billing systems send events late, twice and in any order. Apply, Put and PutHold take
// complete states and never steps. In one atomic statement, the database keeps the newer
// one of two states of the same subscription, payment, charge, refund, dispute or hold.
// So any number of processes may write any number of times in any order, with the same
// result. The exception is the owner of a subscription: the first one that is stored
// stays, until [Provider.SetOwner] moves the subscription.
//
// # Rejected events
//
// Package webhook saves the events that it could not use, with their bodies, which
// contain personal data. [Provider.Rejected] returns them, so that you can fix the
// cause. Then process them again with Handler.Replay of package webhook. An event is
// deleted when it is processed. Call [Provider.Prune] every day to delete events that are
// older than a month, which is longer than billing systems retry.
//
// Nothing else is ever deleted, so that an old event cannot give access back. The
// tables keep IDs, plans, amounts and times.
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
// SELECT, INSERT and UPDATE. Two also need DELETE on the table whose name ends in
// "_rejected": Prune, and Apply of an event that was rejected before.
//
// The table whose name ends in "_events" is from version 2 of the schema. Only programs
// that do not know version 3 use it. When none of them runs any more, delete its rows,
// some of which contain bodies of events. Keep the table.
//
// The supported databases, drivers and settings are those of package sqlstore.
// Its documentation also states which settings are recommended, and how durable
// a write is after it has returned. Migrate refuses MariaDB's sql_mode
// EMPTY_STRING_IS_NULL.
//
// # Errors
//
// [entitlement.ErrNone] means that the owner has bought nothing. An error that matches
// store.ErrBusy means that other calls had all connections of the pool. Every other error
// of [Provider.Entitlement] means an outage: the database cannot be reached, it may
// leave out rows (for example because of row-level security), or it holds a row that
// this package cannot have written, such as one with an unknown status. Such a row
// grants nothing. It is not skipped either, since it may be the one that takes access
// away.
//
// If a write returns an error of the database, it may or may not have taken
// effect. Repeat it: a repeated write changes nothing.
package sqlprovider
