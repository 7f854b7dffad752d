package proof_test

// What can go wrong between a billing system and the table of plans.
var webhookMutants = []mutant{
	{"webhook: signature not compared", "entitlement/webhook/handler.go", edits{
		"if !s.by(h.from.keys, body) {",
		"if !s.by(h.from.keys, body) && len(s.macs) == 0 {",
	}, "./entitlement/webhook", "TestForgeries"},
	{"webhook: time of a signature not looked at", "entitlement/webhook/handler.go", edits{
		"if !s.fresh(time.Now()) {",
		"if s.at.IsZero() {",
	}, "./entitlement/webhook", "TestReplays|TestTolerance"},
	{"webhook: empty secret taken", "entitlement/webhook/secret.go", edits{
		"case len(key) < minSecret || len(key) > maxSecret:",
		"case len(key) > maxSecret:",
		"case bytes.Count(key, key[:1]) == len(key):",
		"case len(key) > 0 && bytes.Count(key, key[:1]) == len(key):",
	}, "./entitlement/webhook", "TestSecretsThatAreRefused"},
	{"webhook: Changed called only when something was written", "entitlement/webhook/handler.go", edits{
		"if _, err := h.table.Put(ctx, s); err != nil {",
		"changed, err := h.table.Put(ctx, s)\n\tif err == nil && !changed {\n\t\treturn h.table.MarkSeen(ctx, e.ID, time.Now())\n\t}\n\tif err != nil {",
	}, "./entitlement/webhook", "TestFailures"},
	{"webhook: event marked before the write", "entitlement/webhook/handler.go", edits{
		"if _, err := h.table.Put(ctx, s); err != nil {",
		"if err := h.table.MarkSeen(ctx, e.ID, time.Now()); err != nil {\n\t\treturn &outage{\"MarkSeen\", err}\n\t}\n\tif _, err := h.table.Put(ctx, s); err != nil {",
	}, "./entitlement/webhook", "TestFailures"},
	{"webhook: order within a second left to chance", "entitlement/webhook/state.go", edits{
		"return int64(s)<<48 | int64(binary.BigEndian.Uint64(hash[:])>>16)",
		"return int64(s) << 48 & int64(binary.BigEndian.Uint64(hash[:])&0)",
	}, "./entitlement/webhook", "TestAnyOrderConverges"},
	{"webhook: unknown product taken for none", "entitlement/webhook/state.go", edits{
		"case err != nil && granted:",
		"case err != nil && granted && p == nil:",
	}, "./entitlement/webhook", "TestUnknownProduct"},
}
