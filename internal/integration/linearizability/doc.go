// Package linearizability records what concurrent calls of a Manager return, and checks
// that some order of single calls explains it. There is nothing here to import.
package linearizability
