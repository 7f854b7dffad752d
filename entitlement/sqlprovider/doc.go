// Package sqlprovider keeps owners' plans in a SQL database that the host
// already has, through [database/sql]. It imports no driver: the host opens the
// *sql.DB, says which dialect the database speaks, and remains the one who
// closes it.
//
//	plans, err := sqlprovider.New(db, sqlstore.PostgreSQL, catalog, nil)
//	err = plans.Migrate(ctx)
//	keys, err := apikey.New(st, &apikey.Options{Entitlements: plans})
//
// What the billing system says goes in by [Provider.Put], from a webhook or from
// a job that asks for it; what support grants beside that by
// [Provider.SetOverride]. Neither touches what the other one wrote. A Manager
// hears of both, from any process, by [Provider.Watch].
//
// # Order
//
// Billing systems send events late, twice and in any order. Put takes whole
// states, never steps, and of two states of a subscription the database keeps
// the newer one, in one atomic statement. So any number of processes may write,
// in any order and any number of times, and what is left is the same.
//
// # Events
//
// Package webhook keeps here which events it has dealt with, and those that it
// could not use, with their bodies, in which there are personal data.
// [Provider.Refused] shows the latter to whoever has to mend the cause. Call
// [Provider.Prune] every day with an instant a month ago, which is longer than
// billing systems try for; an event that comes again after that changes nothing
// that is newer.
//
// # Tables
//
// [Provider.Migrate] makes the tables and keeps them up to date. Teams that have
// a migration tool of their own give it the files in the folder schema instead,
// one folder for each dialect and one file for each version, with the tables'
// names changed in them where [Options] change them. The two get along. Call
// Migrate even so: it refuses plans that the catalog does not know, connections
// whose settings would let texts go wrong, and a database that may leave out rows;
// and it names the schema of the tables in every statement from then on.
//
// Whoever migrates needs the right to create tables and indexes. A Provider at
// work needs SELECT, INSERT and UPDATE, and DELETE for [Provider.Prune].
//
// The databases, drivers and settings are those of package sqlstore, which says
// what is worth setting and how durable a write is that was acknowledged.
// Migrate refuses MariaDB's sql_mode EMPTY_STRING_IS_NULL.
//
// # Errors
//
// [entitlement.ErrNone] means that the owner has bought nothing. Every other
// error of [Provider.Entitlement] is an outage: the database cannot be asked, it
// may hide rows, as by row-level security, or it holds a row that nobody who keeps to this package has written, such as one
// with a status that is not known. Such a row grants nothing and is not skipped
// either, since it may be the one that takes access away.
//
// A write whose error is one of the database's may have happened. Write it
// again: what happened twice happened once.
package sqlprovider
