// Package cluster holds tests of several instances of a service that share a
// database: real servers, instances that are processes of their own, and faults
// between them. They show how soon a revoked key is refused everywhere, and
// what holds while servers, networks and processes fail. There is nothing here
// to import.
package cluster
