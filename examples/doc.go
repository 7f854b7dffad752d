// Package examples holds example programs:
//
//	quickstart  a service with keys in SQLite, and the whole life of a key
//	stores      a key's life in each kind of database
//	plans       three plans, and a billing system whose events change them at once
//	cluster     three instances, and a bus that carries revocations between them
//	readme      the program on README's first screen
package examples
