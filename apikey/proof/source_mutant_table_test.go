package proof_test

// What tests find by reading the source.
var sourceMutants = []mutant{
	{"go.mod: before CrossOriginProtection was mended", "go.mod", edits{"go 1.25.1\n", "go 1.25.0\n"}, "./apikey/proof", "TestGoFloor"},
	{"requirements: a line is missing", "apikey/proof/REQUIREMENTS.md", edits{"\n| T-01 |", "\n| |"}, "./apikey/proof", "TestRequirements"},
}
