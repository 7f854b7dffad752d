package proof_test

// What overload and a slow store must not do.
var overloadMutants = []mutant{
	{"a queue without bound", "internal/guard/places.go", edits{
		"if p.waiting.Add(1) > p.queue {",
		"if p.waiting.Add(1) < 0 {",
	}, "./internal/guard", "TestPlaces$"},
	{"a place waited for without bound", "internal/guard/places.go", edits{
		"patient, cancel := context.WithTimeout(ctx, wait)",
		"patient, cancel := context.WithCancel(ctx)",
	}, "./internal/guard", "TestPlacesWait"},
	{"a place given back before the call has returned", "internal/guard/call.go", edits{
		"\t\t\tdone()\n",
		"",
		"\treturned := make(chan result, 1)\n",
		"\treturned := make(chan result, 1)\n\tdefer done()\n",
	}, "./internal/guard", "TestCallKeepsItsPlace"},
}
