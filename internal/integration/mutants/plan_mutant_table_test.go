package mutants_test

// Plans, and what is made of them.
var planMutants = []mutant{
	// The catalog, and asking over HTTP.
	{"plans: a dispute takes nothing away", "entitlement/subscription.go", edits{
		"return h.Status == Held && (held.IsZero() || !began.After(held))",
		"return h.Status == Held && h.ID == s.ID && !began.After(held)",
	}, "./entitlement", "TestResolve"},
	{"plans: a hold takes what was paid for after it", "entitlement/subscription.go", edits{
		"began, held = s.PeriodStart, h.PeriodStart",
		"held = h.PeriodStart",
	}, "./entitlement", "TestResolve"},
	{"plans: a dispute takes no renewal", "entitlement/subscription.go", edits{
		"if !h.PeriodStart.IsZero() {",
		"if h.PeriodStart = h.StartedAt; true {",
	}, "./entitlement", "TestResolve"},
	{"webhook: a refund takes what was paid for since", "entitlement/webhook/state.go", edits{
		"s.periodStart = earliest(e.At, paidAt.Add(paymentLead))",
		"s.periodStart = e.At",
	}, "./entitlement/webhook", "TestRefundOfOnePeriod"},
	{"plans: an override revives what ended", "entitlement/resolution.go", edits{
		"\t\te.APIAccess = false\n",
		"\t\te.APIAccess = o.APIAccess != nil && *o.APIAccess\n",
	}, "./entitlement", "TestResolve"},
	{"plans: an older state counts beside the newest", "entitlement/resolution.go", edits{
		"return a.ID == b.ID })",
		"return a.ID == b.ID && !a.Newer(b) && !b.Newer(a) })",
	}, "./entitlement", "TestResolve"},
	{"plans: a field of a file twice, in another case", "internal/strictjson/strictjson.go", edits{
		"seen[p.folded(name)] = true",
		"seen[name] = true",
	}, "./entitlement", "TestParseCatalogRefuses"},
	{"plans: null in place of a list", "internal/strictjson/strictjson.go", edits{
		"case token == nil && p.NoNull:",
		"case false:",
	}, "./entitlement", "TestParseCatalogRefuses"},
	{"JSON of any depth", "internal/strictjson/strictjson.go", edits{
		"case depth == p.MaxDepth:",
		"case depth < 0:",
	}, "./internal/strictjson", "TestDecode"},
	{"a secret in the error of a client", "internal/httpclient/redact.go", edits{
		"if len(s) >= minSecret && strings.Contains(text, s) {",
		"if len(s) >= minSecret && strings.Contains(text, s) && c == nil {",
	}, "./internal/httpclient", "TestRedact"},
	{"plans: an answer about another owner trusted", "entitlement/httpprovider/response.go", edits{
		"case *r.Owner != owner:",
		"case *r.Owner == \"\":",
	}, "./entitlement/httpprovider", "TestInvalidResponses"},
	{"plans: the status of an answer not looked at", "entitlement/httpprovider/call.go", edits{
		"case resp.StatusCode != http.StatusOK:",
		"case resp.StatusCode >= http.StatusInternalServerError:",
	}, "./entitlement/httpprovider", "TestInvalidResponses"},
	{"plans: a busy service asked again", "entitlement/httpprovider/httpprovider.go", edits{
		"left > 0 {",
		"left > time.Hour {",
	}, "./entitlement/httpprovider", "TestRetryAfter"},

	// Plans in a database.
	{"plans in SQL: an older state replaces a newer one", "entitlement/sqlprovider/dialect.go", edits{
		"WHERE excluded.updated_at > kept.updated_at",
		"WHERE excluded.updated_at <> kept.updated_at",
	}, "./internal/integration/plans", "TestNewerTakesThePlaceOfOlder/SQLite"},
	{"plans in SQL: an older state replaces a newer one on MySQL", "entitlement/sqlprovider/mysql.go", edits{
		"AND (updated_at < ? OR updated_at = ? AND version < ?)",
		"AND (updated_at <> ? OR updated_at = ? AND version < ?)",
	}, "./internal/integration/plans", "TestNewerTakesThePlaceOfOlder/MariaDB"},
	{"plans in SQL: a state that was skipped treated as an older one", "entitlement/sqlprovider/put.go", edits{
		"return sqldb.ErrSkipped",
		"return nil",
	}, "./internal/integration/plans", "TestSkippedWriteIsAnOutage"},
	{"plans in SQL: an override that was skipped treated as kept", "entitlement/sqlprovider/override.go", edits{
		"err = sqldb.ErrSkipped",
		"err = nil",
	}, "./internal/integration/plans", "TestSkippedWriteIsAnOutage"},
	{"plans in SQL: an event that was skipped treated as kept", "entitlement/sqlprovider/event.go", edits{
		"err = sqldb.ErrSkipped",
		"err = nil",
	}, "./internal/integration/plans", "TestSkippedWriteIsAnOutage"},
	{"plans in SQL: another owner's row trusted", "entitlement/sqlprovider/read.go", edits{
		"if row.Owner != owner {",
		"if row.Owner == \"\" {",
	}, "./entitlement/sqlprovider", "TestHostileRows"},
	{"plans in SQL: a status that is not known passed on", "entitlement/sqlprovider/read.go", edits{
		"case !r.Status.Valid():",
		"case r.Status == \"\":",
	}, "./entitlement/sqlprovider", "TestHostileRows"},
	{"plans in SQL: a late commit not looked for", "entitlement/sqlprovider/watch.go", edits{
		"since-lookBack.Microseconds()",
		"since",
	}, "./entitlement/sqlprovider", "TestWatchLooksBack"},
	{"plans in SQL: no gap after a poll that failed", "entitlement/sqlprovider/watch.go", edits{
		"\tif err != nil {\n\t\tw.missed = true\n",
		"\tif err != nil {\n",
	}, "./entitlement/sqlprovider", "TestWatchCallsGapAfterFailure"},

	// The billing system's events.
	{"webhook: signature not compared", "entitlement/webhook/handler.go", edits{
		"if !s.isSignedBy(h.source.keys(), body) {",
		"if !s.isSignedBy(h.source.keys(), body) && len(s.macs) == 0 {",
	}, "./entitlement/webhook", "TestForgeries"},
	{"webhook: time of a signature not looked at", "entitlement/webhook/handler.go", edits{
		"if !s.isFresh(time.Now()) {",
		"if s.at.IsZero() {",
	}, "./entitlement/webhook", "TestReplays|TestTolerance"},
	{"webhook: empty secret taken", "entitlement/webhook/secret.go", edits{
		"case len(key) < minSecret || len(key) > maxSecret:",
		"case len(key) > maxSecret:",
		"case bytes.Count(key, key[:1]) == len(key):",
		"case len(key) > 0 && bytes.Count(key, key[:1]) == len(key):",
	}, "./entitlement/webhook", "TestInvalidSecrets"},
	{"webhook: Changed called only when something was written", "entitlement/webhook/handler.go", edits{
		"\tchanged, err := h.store.Put(ctx, s)\n",
		"\tchanged, err := h.store.Put(ctx, s)\n\tif err == nil && !changed {\n\t\treturn h.store.MarkProcessed(ctx, e.ID, time.Now())\n\t}\n",
	}, "./entitlement/webhook", "TestFailures"},
	{"webhook: event marked before the write", "entitlement/webhook/handler.go", edits{
		"\tchanged, err := h.store.Put(ctx, s)\n",
		"\tif err := h.store.MarkProcessed(ctx, e.ID, time.Now()); err != nil {\n\t\treturn &outage{\"MarkProcessed\", err}\n\t}\n\tchanged, err := h.store.Put(ctx, s)\n",
	}, "./entitlement/webhook", "TestFailures"},
	{"webhook: order within a second left to chance", "entitlement/webhook/state.go", edits{
		"return int64(s)<<48 | int64(binary.BigEndian.Uint64(hash[:])>>16)",
		"return int64(s) << 48 & int64(binary.BigEndian.Uint64(hash[:])&0)",
	}, "./entitlement/webhook", "TestAnyOrderConverges"},
	{"webhook: unknown product treated as none", "entitlement/webhook/state.go", edits{
		"case err != nil && granted:",
		"case err != nil && granted && p == nil:",
	}, "./entitlement/webhook", "TestUnknownProduct"},

	// What the Manager makes of plans.
	{"a changed owner's plan kept", "apikey/plan.go", edits{
		"m.plans.Change(context.WithoutCancel(ctx), []cache.Key{ownerKey(owner)}, nil, alreadyWritten)",
		"m.plans.Change(context.WithoutCancel(ctx), nil, nil, alreadyWritten)\n\t_ = cache.Key{}",
	}, "./apikey", "TestCancelledOwnerNeverValidates"},
	{"a changed owner told to nobody", "apikey/plan.go", edits{
		"return true, nil",
		"return false, nil",
	}, "./apikey", "TestInvalidateOwnerReachesOthers"},
	{"plans deaf to the bus", "apikey/manager.go", edits{
		"\tif m.plans != nil {\n\t\tm.group.Join",
		"\tif m.plans == nil {\n\t\tm.group.Join",
	}, "./apikey", "TestInvalidateOwnerReachesOthers|TestCachedPlansExpireWithoutBus"},
	{"plans served while the bus is down", "cache/group.go", edits{
		"\tfor _, c := range g.members {\n\t\tc.extendLease(g.ends, ttl)\n\t}",
		"\tfor _, c := range g.members[:min(1, len(g.members))] {\n\t\tc.extendLease(g.ends, ttl)\n\t}",
	}, "./apikey", "TestCachedPlansExpireWithoutBus"},
	{"a lack of a plan kept as long as the options say", "apikey/plan.go", edits{
		"min(o.NegativeTTL, refusalTTL)",
		"max(o.NegativeTTL, refusalTTL)",
	}, "./apikey", "TestPurchaseIsSeenSoon"},
	{"an entry of a plan ends before its grace", "entitlement/entitlement.go", edits{
		"return e.ValidUntil.Add(max(e.Grace, 0))",
		"return e.ValidUntil",
	}, "./apikey", "TestGrace"},
	{"a gap of the provider's passed over", "apikey/watch.go", edits{
		"provider.Watch(ctx, m.plans.MarkStale, ",
		"provider.Watch(ctx, func() {}, ",
	}, "./apikey", "TestWatch$"},
	{"Watch called again at once", "apikey/watch.go", edits{
		"case <-time.After(pause):",
		"case <-time.After(pause / 3):",
	}, "./apikey", "TestWatchIsCalledAgain"},
	{"a verdict from a plan that is over", "cache/entry.go", edits{
		" && now.UnixNano() < e.untilWall",
		"",
	}, "./apikey", "TestExpiredPlanDuringOutage"},
	{"webhook: what was fetched lost to a clock that is ahead", "entitlement/webhook/handler.go", edits{
		"case fetched && !changed:",
		"case fetched && changed && !fetched:",
	}, "./entitlement/webhook", "TestRefetchWithClockAhead"},
	{"a rotation takes an unknown plan for no plan", "apikey/create.go", edits{
		"\t\tif err != nil {\n\t\t\treturn Issued{}, err\n\t\t}\n\t\tlimit = plan.MaxKeys",
		"\t\tif err != nil {\n\t\t\tplan = m.everything()\n\t\t}\n\t\tlimit = plan.MaxKeys",
	}, "./apikey", "TestRotateWhileTheProviderIsDown"},
	{"a rotation without a grace period asks for the plan", "apikey/create.go", edits{
		"if next.HasGracePeriod(ends) {",
		"if next.HasGracePeriod(ends) || grace == 0 {",
	}, "./apikey", "TestRotateWhileTheProviderIsDown"},
	{"a downgrade that hides how many are over", "apikey/plan.go", edits{
		"o.Excess = max(n-e.MaxKeys, 0)",
		"o.Excess = 0",
	}, "./apikey", "TestDowngradeOfMaxKeys"},
}
