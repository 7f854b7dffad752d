// Package mutants holds deliberate faults of the code, each with the test that must detect
// it.
package mutants
