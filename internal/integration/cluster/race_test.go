//go:build race

package cluster_test

// raced is set under the race detector, where nothing is quick.
const raced = true
