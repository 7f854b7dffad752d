package mutants_test

// What a database that goes back to an earlier state must not do.
var failoverMutants = []mutant{
	{"a key that the store does not know as disabled is rotated", "apikey/create.go", edits{
		"if !r.RevokedAt.IsZero() || !r.DisabledAt.IsZero() {", "if !r.RevokedAt.IsZero() {",
	}, "./apikey", "TestDisabledKeyOutlivesTheStore"},
	{"what this process ended is not asked for", "apikey/validate.go", edits{
		"r, until := m.ended.check(ctx, r, seen)",
		"var until time.Time",
		"seen uint64) cache.Loaded",
		"_ uint64) cache.Loaded",
	}, "./apikey", "TestEndedKeysOutliveTheStore"},
	{"a revocation is not remembered", "apikey/revoke.go", edits{
		"m.ended.remember(before.Digest, r)",
		"_ = before",
	}, "./apikey", "TestEndedKeysOutliveTheStore/Revoke$"},
	{"RevokeAll is not remembered", "apikey/ended.go", edits{
		"\t\t\te.keep(r.Digest, r)\n",
		"\t\t\t_ = r\n",
	}, "./apikey", "TestEndedKeysOutliveTheStore/RevokeAll"},
	{"the owner of RevokeAll is not remembered", "apikey/ended.go", edits{
		"\t\te.owners.set(ownerKey(owner), endedKey{revoked: at, reason: reason, count: e.count.Add(1)})\n",
		"",
	}, "./apikey", "TestRevokeAllOutlivesTheStore"},
	{"keys created after RevokeAll count as revoked", "apikey/ended.go", edits{
		"k.revoked.IsZero() && r.CreatedAt.Before(owner.revoked.Add(-clockMargin))",
		"k.revoked.IsZero()",
	}, "./apikey", "TestRevokeAllOutlivesTheStore"},
	{"a rotation is not remembered", "apikey/create.go", edits{
		"m.ended.remember(r.Digest, old)",
		"_ = old",
	}, "./apikey", "TestEndedKeysOutliveTheStore/Rotate"},
	{"the end of a grace period is not remembered", "apikey/ended.go", edits{
		"k.expires = r.ExpiresAt",
		"k.expires = old.expires",
	}, "./apikey", "TestEndedKeysOutliveTheStore/Rotate_with_grace"},
	{"a disabled key is not remembered", "apikey/ended.go", edits{
		"\t\te.remember(d, left)\n",
		"\t\t_ = left\n",
	}, "./apikey", "TestDisabledKeyOutlivesTheStore"},
	{"a key enabled during another update stays disabled", "apikey/ended.go", edits{
		"alone := updates.Add(1) == began+1",
		"alone := updates.Add(1) > began",
	}, "./apikey", "TestEnabledKeyIsNotRefused"},
	{"a key that was enabled elsewhere stays disabled", "apikey/ended.go", edits{
		"\t\te.updatesOf(d).Add(1)\n\t\te.enabled(d)\n",
		"\t\t_ = d\n",
	}, "./apikey", "TestDisabledKeyOutlivesTheStore|TestEnabledKeyIsNotRefused"},
	{"a disabled key is remembered for ever without a bus", "apikey/ended.go", edits{
		"if e.m.group.Healthy() {",
		"if e.m.group == nil || e.m.group.Healthy() {",
	}, "./apikey", "TestDisabledKeyOutlivesTheStore"},
	{"memory of ended keys without bound", "apikey/ended.go", edits{
		"len(r.young) >= recentSize || time.Since(r.since) >= recentAge",
		"false",
	}, "./apikey", "TestEndedKeysAreBounded"},
	{"the latest ended keys are dropped with the oldest", "apikey/ended.go", edits{
		"map[K]V{}, r.young, time.Now()",
		"map[K]V{}, nil, time.Now()",
	}, "./apikey", "TestEndedKeysAreBounded"},
	{"no event of an undone key", "apikey/ended.go", edits{
		"if e.m.opts.OnEvent != nil {",
		"if false {",
	}, "./apikey", "TestEndedKeysOutliveTheStore"},
	{"an event of an undone key at every look-up", "apikey/ended.go", edits{
		"kept.reported.IsZero() || time.Since(kept.reported) >= undonePause",
		"kept.at == kept.at",
	}, "./apikey", "TestEndedKeysOutliveTheStore"},
	{"a load from before the revocation counts as a loss", "apikey/ended.go", edits{
		"if !undone || k.count > seen {",
		"if !undone {",
	}, "./apikey", "TestLoadBesideRevokeReportsNothing"},
	{"an undone key is shown as active", "apikey/get.go", edits{
		"\tr, _ = m.ended.check(ctx, r, seen)\n\treturn r, nil\n",
		"\t_ = seen\n\treturn r, nil\n",
	}, "./apikey", "TestUndoneKeyIsShownAsEnded"},
	{"an undone key can be rotated", "apikey/create.go", edits{
		"if !r.RevokedAt.IsZero() || !r.DisabledAt.IsZero() {",
		"if false {",
	}, "./apikey", "TestUndoneKeyIsShownAsEnded"},

	// Last-used times.
	{"uses written after Revoke's look-up", "apikey/write.go", edits{
		"if l == m.revocations {\n\t\tflush",
		"if false {\n\t\tflush",
	}, "./apikey", "TestRevokeOfAKeyInUse"},
	{"a use during Revoke's look-up is lost", "apikey/write.go", edits{
		"m.uses.flushKey(ctx, before.Digest)",
		"",
	}, "./apikey", "TestRevokeOfAKeyInUse"},
	{"a use before Revoke is lost", "apikey/write.go", edits{
		"if l == m.revocations {\n\t\tflush",
		"if false {\n\t\tflush",
		"m.uses.flushKey(ctx, before.Digest)",
		"",
	}, "./apikey", "TestUseBeforeRevocationIsKept/Revoke$"},
	{"a use before RevokeAll is lost", "apikey/revokeall.go", edits{
		"a.uses.flushOwner(ctx, a.owner)",
		"",
	}, "./apikey", "TestUseBeforeRevocationIsKept/RevokeAll"},
	{"a use before Rotate is lost", "apikey/create.go", edits{
		"m.uses.flushKey(ctx, r.Digest)",
		"_ = grace",
	}, "./apikey", "TestUseBeforeRevocationIsKept/Rotate"},
	{"a use in flight is lost", "apikey/lastused.go", edits{
		"uses := selected(u.inFlight.uses, matches)",
		"uses := selected(nil, matches)",
	}, "./apikey", "TestUseInFlightIsKept"},
	{"a revocation waits for a Touch that hangs", "apikey/lastused.go", edits{
		"u.m.opts.CallTimeout/4",
		"u.m.opts.CallTimeout*4",
	}, "./apikey", "TestRevokeBesideBrokenTouch"},
	{"a last use in the future is shown", "apikey/key.go", edits{
		"earlier(r.LastUsedAt, now())",
		"r.LastUsedAt",
	}, "./apikey", "TestLastUsedInTheFuture"},
	{"a last use in the future keeps others away", "apikey/validate.go", edits{
		" && !r.LastUsedAt.After(time.Now()) {",
		" {",
	}, "./apikey", "TestLastUsedInTheFuture"},

	// The count of revocations.
	{"Revoke does not count", "store/memstore/memstore.go", edits{
		"if changed {\n\t\ts.revocations++",
		"if changed {",
	}, "./store/memstore", "TestStore"},
	{"RevokeAll does not count", "store/memstore/memstore.go", edits{
		"s.revocations += int64(len(revoked))",
		"",
	}, "./store/memstore", "TestStore"},
	{"Rotate without grace does not count", "store/memstore/memstore.go", edits{
		"if !old.RevokedAt.IsZero() {\n\t\ts.revocations++",
		"if !old.RevokedAt.IsZero() {",
	}, "./store/memstore", "TestStore"},
	{"SQL: Revoke does not count", "store/sqlstore/revoke.go", edits{
		"return r, s.countRevocations(ctx, tx, owner, 1)",
		"return r, nil",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: RevokeAll does not count", "store/sqlstore/revoke.go", edits{
		"return last, s.countRevocations(ctx, tx, owner, len(revoked))",
		"return last, nil",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: RevokeAll counts a batch as one", "store/sqlstore/revoke.go", edits{
		"s.countRevocations(ctx, tx, owner, len(revoked))",
		"s.countRevocations(ctx, tx, owner, 1)",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: Rotate without grace does not count", "store/sqlstore/update.go", edits{
		"if err == nil && !old.RevokedAt.IsZero() {",
		"if err == nil && !old.RevokedAt.IsZero() && s == nil {",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: Rotate with grace counts", "store/sqlstore/update.go", edits{
		"if err == nil && !old.RevokedAt.IsZero() {",
		"if err == nil {",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: a revocation is counted outside its transaction", "store/sqlstore/revoke.go", edits{
		"result, err := tx.ExecContext(ctx,",
		"_ = tx\n\tresult, err := s.writes.ExecContext(ctx,",
	}, "./internal/integration/databases", "TestRevocationThatFailsDoesNotCount"},
	{"SQL: a revocation goes through without its count", "store/sqlstore/revoke.go", edits{
		"\t\treturn err\n\t}\n\tif rows, err := result",
		"\t\treturn nil\n\t}\n\tif rows, err := result",
	}, "./internal/integration/databases", "TestRevocationThatCannotBeCounted"},
	{"SQL: a revocation goes through when its row of the count is gone", "store/sqlstore/revoke.go", edits{
		"err != nil || rows != 1",
		"err != nil || rows > 1",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/.*count"},
	{"SQL: a count without its rows trusted", "store/sqlstore/revoke.go", edits{
		"err == nil && rows != slots",
		"err == nil && rows > slots",
	}, "./internal/integration/databases", "TestCountWithoutItsRows"},
	{"a count that cannot be read is not mentioned", "apikey/wentback.go", edits{
		"if ctx.Err() != nil || !w.warned.IsZero() &&",
		"if w.warned.IsZero() || !w.warned.IsZero() &&",
	}, "./apikey", "TestCountThatCannotBeRead"},
	{"a count that cannot be read floods the log", "apikey/wentback.go", edits{
		"time.Since(w.warned) < warnPause {",
		"time.Since(w.warned) < 0 {",
	}, "./apikey", "TestCountThatCannotBeRead"},
	{"a lower count is not noticed", "apikey/wentback.go", edits{
		"back := count.Lineage == w.seen.Lineage && count.Count < highest",
		"back := false",
	}, "./apikey", "TestDatabaseGoesBack"},
	{"a higher count is reported", "apikey/wentback.go", edits{
		"back := count.Lineage == w.seen.Lineage && count.Count < highest",
		"back := count.Lineage == w.seen.Lineage && count.Count > highest",
	}, "./apikey", "TestDatabaseGoesBack|TestDatabaseDoesNotGoBack"},
	{"counts of different tables are compared", "apikey/wentback.go", edits{
		"back := count.Lineage == w.seen.Lineage && ",
		"back := ",
		"if count.Lineage == w.seen.Lineage && count.Count < highest {",
		"if count.Count < highest {",
	}, "./apikey", "TestDatabaseDoesNotGoBack"},
	{"a lower count is trusted at once", "apikey/wentback.go", edits{
		"if count.Lineage == w.seen.Lineage && count.Count < highest {",
		"if false {",
	}, "./apikey", "TestDatabaseDoesNotGoBack"},
	{"the count in the shared cache is ignored", "apikey/wentback.go", edits{
		"highest := max(w.seen.Count, shared.count, ",
		"highest := max(w.seen.Count, ",
	}, "./apikey", "TestDatabaseGoesBackWhileNobodyRuns"},
	{"the count on the bus is ignored", "apikey/wentback.go", edits{
		"shared.count, w.marked(mark))",
		"shared.count)",
	}, "./apikey", "TestDatabaseGoesBackBesideTheBus"},
	{"the count is not sent over the bus", "apikey/wentback.go", edits{
		"\tw.tell()\n",
		"",
	}, "./apikey", "TestDatabaseGoesBackBesideTheBus"},
	{"a count of other tables is taken from the bus", "apikey/wentback.go", edits{
		"mark&(1<<tagBits-1) != w.tag() || ",
		"",
	}, "./apikey", "TestDatabaseGoesBackBesideTheBus"},
	{"a count from before is taken from the bus after a report", "apikey/wentback.go", edits{
		" || time.Now().Before(w.settled) {",
		" {",
	}, "./apikey", "TestDatabaseGoesBackOnce"},
	{"a count on the bus is compared again and again", "apikey/wentback.go", edits{
		"\tw.m.mark.CompareAndSwap(mark, 0)\n",
		"",
	}, "./apikey", "TestDatabaseGoesBackBesideTheBus"},
	{"a count from before stays on the bus", "apikey/wentback.go", edits{
		"w.m.ownMark.Store(uint64(w.seen.Count)<<tagBits | w.tag())",
		"w.m.ownMark.Store(max(w.m.ownMark.Load(), uint64(w.seen.Count)<<tagBits|w.tag()))",
	}, "./apikey", "TestDatabaseGoesBackOnce"},
	{"a mark without a secret is trusted", "cache/group.go", edits{
		"len(g.key) == 0 || mark <= g.seen {",
		"mark <= g.seen {",
	}, "./cache", "TestGroupMarksWithoutASecret"},
	{"an instance's own mark is news to it", "cache/group.go", edits{
		"\tg.seen = max(g.seen, mark)\n",
		"",
	}, "./cache", "TestGroupMarks$"},
	{"the count is not shared", "apikey/wentback.go", edits{
		"count.Count > shared.count",
		"false",
	}, "./apikey", "TestDatabaseGoesBackWhileNobodyRuns"},
	{"what is cached outlives a database that goes back", "apikey/wentback.go", edits{
		"w.m.keys.MarkStale()",
		"_ = w.m.keys.MarkStale",
	}, "./apikey", "TestDatabaseGoesBack$"},
	{"no event of a database that goes back", "apikey/wentback.go", edits{
		"if w.m.opts.OnEvent != nil {",
		"if false {",
	}, "./apikey", "TestDatabaseGoesBack"},
}
