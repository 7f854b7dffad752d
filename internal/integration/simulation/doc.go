// Package simulation runs several Managers, their store, bus, shared cache and
// plans in one process under a fake clock, breaks all of these by turns, and
// compares what each call returned with what was true. A seed decides the
// settings, the calls and the faults, so that a run that failed can be repeated.
// There is nothing here to import.
package simulation
