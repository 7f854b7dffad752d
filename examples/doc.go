// Package examples holds programs that show keyhatch at work:
//
//	quickstart  a service with keys in SQLite, and the whole life of a key
//	stores      a key's life in each kind of database
//	plans       three plans, and a billing system whose events change them at once
//	cluster     three instances that hear of each other's revocations
//	readme      the program on README's first screen
package examples
