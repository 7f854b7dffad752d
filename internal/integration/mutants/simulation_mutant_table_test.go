package mutants_test

import (
	"slices"
	"strings"
)

// Breaks that other tests notice too, and that a run of the simulation must come
// upon by itself.
var simulationMutants = bySimulation(
	"no epoch compared", "no group epoch compared", "epoch read after the load", "epoch moved only before the write",
	"epoch not in the flight's name", "Del and Wait instead of epochs",
)

// bySimulation returns the mutants of these names, with the simulation as the test
// that must notice them.
func bySimulation(names ...string) (some []mutant) {
	for _, m := range slices.Concat(mutants, instanceMutants) {
		if slices.Contains(names, m.name) {
			m.name = "simulation: " + strings.ToLower(m.name)
			m.pkg, m.run = "./internal/integration/simulation", "TestSimulation"
			some = append(some, m)
		}
	}
	if len(some) != len(names) {
		panic("a mutant of the simulation is not in the tables any more")
	}
	return some
}
