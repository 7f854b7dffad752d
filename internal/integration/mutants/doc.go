// Package mutants holds deliberate breaks of the code, each with the test that must
// notice it. There is nothing here to import.
package mutants
