// Package mutants breaks the code on purpose, and checks that a test detects each fault. Each
// folder lists its faults and their tests in testdata/mutants.txt. There is nothing here to
// import.
package mutants
