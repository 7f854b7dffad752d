package proof_test

// What tests find by reading the source.
var sourceMutants = []mutant{
	{"go.mod: before CrossOriginProtection was mended", "go.mod", edits{"go 1.25.1\n", "go 1.25.0\n"}, "./apikey/proof", "TestGoFloor"},
	{"requirements: a line is missing", "apikey/proof/REQUIREMENTS.md", edits{"\n| T-01 |", "\n| |"}, "./apikey/proof", "TestRequirements"},
	{"page: tokens from Math.random", "apikey/selfservice/panel/panel.js", edits{
		"const [byte] = crypto.getRandomValues(new Uint8Array(1))", "const byte = Math.floor(Math.random() * 256)",
	}, "./apikey/selfservice/proof", "TestTokensOfTheScript"},
	{"page: one random byte for two digits", "apikey/selfservice/panel/panel.js", edits{
		"digits += alphabet[byte & 63] ?? ''", "digits += (alphabet[byte & 63] ?? '') + (alphabet[byte >> 2] ?? '')",
	}, "./apikey/selfservice/proof", "TestTokensOfTheScript"},
	{"page: a byte modulo 62", "apikey/selfservice/panel/panel.js", edits{
		"alphabet[byte & 63] ?? ''", "alphabet[byte % 62]",
	}, "./apikey/selfservice/proof", "TestTokensOfTheScript"},
}
