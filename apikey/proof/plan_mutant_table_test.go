package proof_test

// What the Manager makes of plans.
var ownerMutants = []mutant{
	{"a changed owner's plan kept", "apikey/owner.go", edits{
		"\tm.plans.Forget(key)\n",
		"",
	}, "./apikey", "TestCancelledOwnerNeverValidates"},
	{"a changed owner told to nobody", "apikey/owner.go", edits{
		"m.notPropagated(ctx, m.publish(ctx, key))",
		"m.notPropagated(ctx, nil)",
	}, "./apikey", "TestOwnerChangedReachesOthers"},
	{"plans deaf to the bus", "apikey/instances.go", edits{
		"if m.plans != nil {",
		"if m.plans == nil {",
	}, "./apikey", "TestOwnerChangedReachesOthers|TestPlansEndWithTheBus"},
	{"plans trusted while the bus is lost", "apikey/instances.go", edits{
		"\tfor _, c := range l.caches {\n\t\tc.Trust(until, ttl)\n\t}",
		"\tl.caches[0].Trust(until, ttl)",
	}, "./apikey", "TestPlansEndWithTheBus"},
	{"a lack of a plan kept as long as the options say", "apikey/plan.go", edits{
		"min(o.NegativeTTL, refusalTTL)",
		"max(o.NegativeTTL, refusalTTL)",
	}, "./apikey", "TestPurchaseIsSeenSoon"},
	{"an entry of a plan ends before its grace", "entitlement/entitlement.go", edits{
		"return e.ValidUntil.Add(max(e.Grace, 0))",
		"return e.ValidUntil",
	}, "./apikey", "TestGrace"},
	{"a gap of the provider's passed over", "apikey/watch.go", edits{
		"provider.Watch(ctx, m.plans.Doubt, ",
		"provider.Watch(ctx, func() {}, ",
	}, "./apikey", "TestWatch$"},
	{"Watch called again at once", "apikey/watch.go", edits{
		"case <-time.After(pause):",
		"case <-time.After(pause / 1000):",
	}, "./apikey", "TestWatchIsCalledAgain"},
	{"a downgrade that hides how many are over", "apikey/owner.go", edits{
		"o.Over = max(n-e.MaxKeys, 0)",
		"o.Over = 0",
	}, "./apikey", "TestDowngradeOfMaxKeys"},
}
