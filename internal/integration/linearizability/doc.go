// Package linearizability records the results of concurrent calls of a Manager, and checks
// that some sequential order of the calls explains them.
package linearizability
