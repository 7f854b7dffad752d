// Package linearizability records the results of concurrent calls to a Manager, and checks
// that some sequential order of the calls explains them.
package linearizability
