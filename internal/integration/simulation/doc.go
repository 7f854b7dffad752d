// Package simulation runs several Managers with their store, bus, shared cache and plans in
// one process with a fake clock. It injects faults into all of these, and checks that the
// result of each call was true. A seed determines the settings, the calls and the faults, so
// that a failed run can be repeated.
package simulation
