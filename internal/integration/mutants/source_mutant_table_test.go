package mutants_test

// What tests find by reading the source.
var sourceMutants = []mutant{
	{"the header with the service's secret printed", "entitlement/httpprovider/options.go", edits{
		"\to.Header = nil\n",
		"",
	}, "./internal/integration/cluster", "TestOptionsPrintNoSecret"},
	{"the secret of the bus in JSON", "store/pgstore/bus.go", edits{
		"func (o BusOptions) MarshalText()",
		"func (o BusOptions) marshalText()",
	}, "./internal/integration/cluster", "TestOptionsPrintNoSecret"},
	{"the password of the bus printed", "store/pgstore/bus.go", edits{
		"\tkey    func() []byte\n}",
		"\tkey    func() []byte\n\tshown  *pgx.ConnConfig\n}",
		"server: func() *pgx.ConnConfig { return server }}",
		"shown: server, server: func() *pgx.ConnConfig { return server }}",
	}, "./internal/integration/cluster", "TestOptionsPrintNoSecret"},
	{"older secrets printed", "store/remotestore/handler.go", edits{
		"\to.OlderSecrets = nil\n",
		"",
	}, "./internal/integration/cluster", "TestOptionsPrintNoSecret"},
	{"go.mod: before CrossOriginProtection was fixed", "go.mod", edits{"go 1.25.1\n", "go 1.25.0\n"}, "./internal/integration/requirements", "TestGoFloor"},
	{"requirements: a line is missing", "internal/integration/requirements/REQUIREMENTS.md", edits{"\n| T-01 |", "\n| |"}, "./internal/integration/requirements", "TestRequirements"},
	{"page: tokens from Math.random", "apikey/selfservice/panel/panel.js", edits{
		"const [byte] = crypto.getRandomValues(new Uint8Array(1))", "const byte = Math.floor(Math.random() * 256)",
	}, "./internal/integration/browser", "TestTokensOfTheScript"},
	{"page: one random byte for two digits", "apikey/selfservice/panel/panel.js", edits{
		"digits += alphabet[byte & 63] ?? ''", "digits += (alphabet[byte & 63] ?? '') + (alphabet[byte >> 2] ?? '')",
	}, "./internal/integration/browser", "TestTokensOfTheScript"},
	{"page: a byte modulo 62", "apikey/selfservice/panel/panel.js", edits{
		"alphabet[byte & 63] ?? ''", "alphabet[byte % 62]",
	}, "./internal/integration/browser", "TestTokensOfTheScript"},
	{"MAC compared with ==", "apikey/mac.go", edits{
		"return subtle.ConstantTimeCompare(wantMAC[:], gotMAC[:]) == 1", "_ = subtle.ConstantTimeCompare\n\treturn wantMAC == gotMAC",
	}, "./internal/integration/requirements", "TestSecretsAreCompared"},
	{"MAC compared with bytes.Equal", "apikey/mac.go", edits{
		"return subtle.ConstantTimeCompare(wantMAC[:], gotMAC[:]) == 1", "_ = subtle.ConstantTimeCompare\n\treturn bytes.Equal(wantMAC[:], gotMAC[:])",
	}, "./internal/integration/requirements", "TestSecretsAreCompared"},
	{"webhook: signature compared with bytes.Equal", "entitlement/webhook/signature.go", edits{
		"if hmac.Equal(mac, want) {", "if slices.Equal(mac, want) {",
	}, "./internal/integration/requirements", "TestSecretsAreCompared"},
	{"rediscache: MAC compared with ==", "cache/rediscache/seal.go", edits{
		"!hmac.Equal(s.mac(key, b[:head], b[prefix:]), b[head:prefix])", "string(s.mac(key, b[:head], b[prefix:])) != string(b[head:prefix])",
	}, "./internal/integration/requirements", "TestSecretsAreCompared"},
	{"remotestore: secret compared with ==", "store/remotestore/handler.go", edits{
		"found |= subtle.ConstantTimeCompare(hash[:], accepted[:])", "if hash == accepted {\n\t\t\tfound |= subtle.ConstantTimeCompare(nil, nil)\n\t\t}",
	}, "./internal/integration/requirements", "TestSecretsAreCompared"},
	{"panel: no rule for the expiry of what a key creates", "apikey/selfservice/caller.go", edits{
		"return own.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(own)", "return own.IsZero() || true",
	}, "./apikey/selfservice", "TestKeyScope"},
	{"httpprovider: an insecure option that is not called so", "entitlement/httpprovider/options.go", edits{
		"\tInsecureHTTP bool\n", "\tAllowPlainHTTP bool\n",
	}, "./internal/integration/requirements", "TestInsecureIsNamedSo"},
	{"ASVS: a line is missing", "internal/integration/requirements/ASVS.md", edits{
		"| 8.4.1 | M-01 | |\n", "",
	}, "./internal/integration/requirements", "TestASVS$"},
	{"page: an asset that is not its source", "apikey/selfservice/asset.go", edits{
		"w.Write(content)", "w.Write(content[1:])",
	}, "./apikey/selfservice", "TestAssetsAreUnchanged"},
	{"each load leaves a goroutine", "cache/load.go", edits{
		"defer c.watch()()", "defer c.watch()()\n\tgo func() { select {} }()",
	}, "./internal/integration/cluster", "TestNemesis"},
	{"uses wait for a minute", "apikey/lastused.go", edits{
		"flushInterval = 10 * time.Second", "flushInterval = time.Minute",
	}, "./internal/integration/crashes", "TestKilledProcessLosesOneFlush"},
	{"uses wait twice as long", "apikey/lastused.go", edits{
		"flushInterval = 10 * time.Second", "flushInterval = 20 * time.Second",
	}, "./apikey", "TestLastUsed$"},
}
