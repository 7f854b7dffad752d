package proof_test

// One owner beside the others.
var tenantMutants = []mutant{
	{"calls of one owner without a bound", "apikey/lane.go", edits{
		"o.turns.Acquire(ctx, wait); err != nil {",
		"ctx.Err(); err != nil {",
		"t.lane.owners[t.owner].turns.Release()\n",
		"",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"writes of one owner queue", "apikey/manager.go", edits{
		"writes: newLane(maxWrites, 0)",
		"writes: newLane(maxWrites, ownerWaiting)",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"revocations in the lane of writes", "apikey/manage.go", edits{
		"write(ctx, m, m.revocations, owner, id, func(ctx context.Context, before store.Record) (revocation, error) {",
		"write(ctx, m, m.writes, owner, id, func(ctx context.Context, before store.Record) (revocation, error) {",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"fewer revocations of an owner wait than come at once", "apikey/lane.go", edits{
		"ownerWaiting = 128",
		"ownerWaiting = 64",
	}, "./apikey/selfservice", "TestManyRevocations"},
	{"a disabling Update in the lane of writes", "apikey/manage.go", edits{
		"if disables(change) {\n\t\tl = m.revocations",
		"if disables(change) {\n\t\tl = m.writes",
	}, "./apikey", "TestCallsOfOneOwnerQueue/disable"},
	{"a given-up call leaves its turn", "apikey/lane.go", edits{
		"\t\tt.lane.places.Release()\n\t\tt.leave()\n\t}, call)",
		"\t\tt.lane.places.Release()\n\t}, call)",
		"\tt.hold()\n\tif err",
		"\tif err",
		"\t\tt.leave()\n\t\treturn *new(T)",
		"\t\treturn *new(T)",
	}, "./apikey", "TestDeafStoreKeepsTheTurn"},
	{"owners without calls remembered", "apikey/lane.go", edits{
		"if o.calls--; o.calls == 0 {",
		"if o.calls--; o.calls < 0 {",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"all places for writes", "apikey/manager.go", edits{
		"writes: newLane(maxWrites, 0)",
		"writes: newLane(maxCalls, 0)",
	}, "./apikey", "TestWritesOfAllOwnersAreBounded"},
	{"a refusal for now is an outage", "apikey/problem.go", edits{
		"case errors.Is(err, ErrLimited):\n\t\treturn problemLimited",
		"case errors.Is(err, ErrLimited):\n\t\treturn problemUnavailable",
	}, "./apikey", "TestLimitedIs429"},
	{"RevokeAll stops after a batch", "apikey/revokeall.go", edits{
		"if len(done.value) < store.RevokeBatch {",
		"if true {",
	}, "./apikey", "TestRevokeAllInBatches"},
	{"RevokeAll goes on without its caller", "apikey/revokeall.go", edits{
		"last = done.value[0].ID; ctx.Err() != nil {",
		"last = done.value[0].ID; false {",
		"done, err := a.batch(ctx, at)",
		"done, err := a.batch(context.WithoutCancel(ctx), at)",
	}, "./apikey", "TestRevokeAllInBatches"},
	{"RevokeAll of a store that revokes nothing never ends", "apikey/revokeall.go", edits{
		" || r.ID == last {",
		" {\n\t\t\t_ = last",
	}, "./apikey", "TestRevokeAllOfAForgetfulStore"},
	{"a batch is left in the second level", "apikey/revokeall.go", edits{
		"return a.level.forget(ctx, keys...)",
		"return nil",
	}, "./apikey", "TestRevokeAllInBatches"},
	{"the owner counts as revoked after the first batch", "apikey/ended.go", edits{
		"if len(revoked) < store.RevokeBatch {",
		"if len(revoked) <= store.RevokeBatch {",
	}, "./apikey", "TestRevokeAllInBatches"},
	{"a transaction that grows with the keys", "store/sqlstore/statements.go", edits{
		"ORDER BY replaced_by, expires_at LIMIT ?",
		"ORDER BY replaced_by, expires_at LIMIT 10 * ?",
	}, "./store/sqlitestore", "Test.*/RevokeAll_revokes_a_batch"},
	{"panel: updates without a quota", "apikey/selfservice/update.go", edits{
		"err := c.updates.take(c.who.owner, time.Now()); err != nil {",
		"err := c.updates.take(c.who.owner, time.Now()); false {",
	}, "./apikey/selfservice", "TestEveryWriteCounts"},
	{"panel: revocations take the quota of creations", "apikey/selfservice/revoke.go", edits{
		"c.revocations.take(",
		"c.creations.take(",
	}, "./apikey/selfservice", "TestEveryWriteCounts"},
}
