// Package cluster tests several instances of a service that share a database. Servers are
// real, and each instance is a process. The tests measure how soon all instances refuse a
// revoked key, and check that no wrong result is returned while servers, networks and
// processes fail.
package cluster
