// Package mutants tries deliberate faults, which testdata/mutants.txt in the folders of
// the code lists, each with the test that must detect it. There is nothing here to import.
package mutants
