package mutants_test

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
	{"revocations in the lane of writes", "apikey/revoke.go", edits{
		"write(ctx, m, m.revocations, owner, id, func(ctx context.Context, before store.Record) (revocation, error) {",
		"write(ctx, m, m.writes, owner, id, func(ctx context.Context, before store.Record) (revocation, error) {",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"fewer revocations of an owner wait than come at once", "apikey/lane.go", edits{
		"ownerWaiting = 128",
		"ownerWaiting = 64",
	}, "./apikey/selfservice", "TestConcurrentRevocations"},
	{"a disabling Update in the lane of writes", "apikey/update.go", edits{
		"if disables(change) {\n\t\tl = m.revocations",
		"if disables(change) {\n\t\tl = m.writes",
	}, "./apikey", "TestCallsOfOneOwnerQueue/disable"},
	{"a given-up call leaves its turn", "apikey/lane.go", edits{
		"\tt.hold()\n\treturn askFor(ctx, t.lane.places, timeout, t.leave, func(",
		"\treturn askFor(ctx, t.lane.places, timeout, func() {}, func(",
	}, "./apikey", "TestAbandonedCallHoldsTurn"},
	{"owners without calls remembered", "apikey/lane.go", edits{
		"if o.calls--; o.calls == 0 {",
		"if o.calls--; o.calls < 0 {",
	}, "./apikey", "TestWritesOfOneOwnerAreBounded"},
	{"all places for writes", "apikey/manager.go", edits{
		"writes: newLane(maxWrites, 0)",
		"writes: newLane(maxCalls, 0)",
	}, "./apikey", "TestWritesOfAllOwnersAreBounded"},
	{"all places for reads", "apikey/manager.go", edits{
		"reads: newLane(maxReads, ownerWaiting)",
		"reads: newLane(maxCalls, ownerWaiting)",
	}, "./apikey", "TestManyOwnersLeaveConnections"},
	{"all places for revocations", "apikey/manager.go", edits{
		"revocations: newLane(maxRevokes, ownerWaiting)",
		"revocations: newLane(maxCalls, ownerWaiting)",
	}, "./apikey", "TestManyOwnersLeaveConnections"},
	{"a refusal for now is an outage", "apikey/problem.go", edits{
		"case errors.Is(err, ErrLimited):\n\t\treturn problemLimited",
		"case errors.Is(err, ErrLimited):\n\t\treturn problemUnavailable",
	}, "./apikey", "TestLimitedIs429"},
	{"a caller that hangs up ends its call of the store", "apikey/lane.go", edits{
		"context.WithTimeout(context.WithoutCancel(ctx), timeout-timeout/50)",
		"context.WithTimeout(ctx, timeout)",
	}, "./apikey", "TestHangUpKeepsTheConnection"},
	{"a call of the store for a caller that has hung up", "apikey/lane.go", edits{
		"if err := ctx.Err(); err != nil {\n\t\t\treturn *new(T), err",
		"if false {\n\t\t\treturn *new(T), nil",
	}, "./apikey", "TestHangUpKeepsTheConnection"},
	{"RevokeAll stops the fills of all owners", "apikey/validate.go", edits{
		"return sha256.Sum256([]byte(owner))",
		"_ = owner; return sha256.Sum256(nil)",
	}, "./apikey", "TestRevokeAllBesideColdKeys"},
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
	}, "./apikey", "TestRevokeAllOfRepeatingStore"},
	{"a batch is left in the shared cache", "apikey/revokeall.go", edits{
		"if err = a.forgetKeys(ctx, revoked); err != nil {",
		"if err != nil {",
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
		"err := c.throttle(c.who, apikey.EventUpdated); err != nil {",
		"err := c.throttle(c.who, apikey.EventUpdated); false {",
	}, "./apikey/selfservice", "TestEveryWriteCounts"},
	{"panel: revocations take the quota of creations", "apikey/selfservice/revoke.go", edits{
		"apikey.EventRevoked",
		"apikey.EventRotated",
	}, "./apikey/selfservice", "TestEveryWriteCounts"},
	{"panel: rotations have a quota of their own", "apikey/throttle.go", edits{
		"EventRotated: creations,",
		"EventRotated: newQuota(maxCreations),",
	}, "./apikey/selfservice", "TestCreationsShareWriteLimit"},
	{"panel: each handler has a quota", "apikey/selfservice/problem.go", edits{
		"h.keys.Throttle(counted, kind)",
		"h.keys.Throttle(counted+fmt.Sprintf(\"%p\", h), kind)",
		"import (\n",
		"import (\n\t\"fmt\"\n",
	}, "./apikey/selfservice", "TestEveryWriteCounts"},
	{"a registration of another owner's digest is no event", "apikey/create.go", edits{
		"taken.Owner != r.Owner {",
		"false {",
	}, "./apikey/selfservice", "TestOtherOwnersDigestLooksTaken"},
	{"a registration of one's own digest is an attempt", "apikey/create.go", edits{
		" && taken.Owner != r.Owner {",
		" {",
	}, "./apikey/selfservice", "TestOtherOwnersDigestLooksTaken"},
	{"panel: another owner's digest takes longer", "apikey/create.go", edits{
		"Owner: r.Owner, KeyID: taken.ID})\n\t}",
		"Owner: r.Owner, KeyID: taken.ID})\n\t\t_, _ = m.store.Lookup(ctx, r.Digest)\n\t}",
	}, "./apikey/selfservice", "TestOtherOwnersDigestLooksTaken"},
	{"panel: another owner's key is refused as such", "apikey/manager.go", edits{
		"KeyID: id})\n\t\treturn ErrNotFound",
		"KeyID: id})\n\t\treturn ErrConflict",
	}, "./apikey/selfservice", "TestOtherOwnersKeyLooksMissing"},
	{"control characters in owners", "internal/text/text.go", edits{
		"case strings.ContainsFunc(s, IsMisleading):",
		"case false:",
	}, "./internal/text", "TestCheckID"},
	{"text that is not ASCII is printable", "internal/text/text.go", edits{
		"if s[i] < first || s[i] > '~' {",
		"if s[i] < first {",
	}, "./internal/text", "TestASCII"},
	{"names that show nothing", "internal/text/visible.go", edits{
		"case !strings.ContainsFunc(s, isVisible):",
		"case s == \"\":",
	}, "./apikey", "TestVisibleNames"},
	{"names of marks", "internal/text/visible.go", edits{
		"unicode.In(r, unicode.L, unicode.N,",
		"unicode.In(r, unicode.L, unicode.M, unicode.N,",
	}, "./apikey", "TestVisibleNames"},
	{"reasons are not looked at", "apikey/params.go", edits{
		"return invalid(\"reason\", text.CheckVisible(reason))",
		"return nil",
	}, "./apikey", "TestVisibleNames"},
	{"joiners anywhere", "internal/text/visible.go", edits{
		"if !joins(runes[:i], r, runes[i+1]) {",
		"if false {",
	}, "./apikey", "TestVisibleNames"},
	{"non-joiners in emoji", "internal/text/visible.go", edits{
		"if r == joiner && isPictograph",
		"if isPictograph",
	}, "./apikey", "TestVisibleNames"},
	{"a joiner behind any word", "internal/text/visible.go", edits{
		"(mark || needsJoiners(after)) ||",
		"(true || mark || needsJoiners(after)) ||",
	}, "./apikey", "TestVisibleNames"},
	{"no joiners in words", "internal/text/visible.go", edits{
		"return needsJoiners(before) && (mark",
		"return false && (mark",
	}, "./apikey", "TestVisibleNames"},
	{"no joiners behind vowel signs that scripts share", "internal/text/visible.go", edits{
		"mark && unicode.Is(unicode.Inherited, before)",
		"false && unicode.Is(unicode.Inherited, before)",
	}, "./apikey", "TestVisibleNames"},
	{"variation selectors anywhere", "internal/text/visible.go", edits{
		"if !varies(runes[i-1], r, runes[i+1]) {",
		"if false {",
	}, "./apikey", "TestVisibleNames"},
	{"a joiner between any symbols", "internal/text/visible.go", edits{
		"return r >= 0x1f000 && unicode",
		"return r > 0x7f && unicode",
	}, "./apikey", "TestVisibleNames"},
	{"any selector behind a letter that has one", "internal/text/visible.go", edits{
		"if r == textSelector || r == emojiSelector {",
		"if !unicode.Is(unicode.L, before) && (r == textSelector || r == emojiSelector) {",
		"return r <= '\\ufe02' || r >= '\\U000e0100'",
		"return true",
	}, "./apikey", "TestVisibleNames"},
	{"no characters in names", "internal/text/visible.go", edits{
		"r&noChar == noChar || r >= 0xfdd0",
		"r >= 0xfdd0",
	}, "./apikey", "TestVisibleNames"},
	{"a variation selector behind any digit", "internal/text/visible.go", edits{
		"after == keycap && strings",
		"strings",
	}, "./apikey", "TestVisibleNames"},
	{"blank Braille is visible", "internal/text/visible.go", edits{
		"blanks    = \"\\u2800",
		"blanks    = \"",
	}, "./apikey", "TestVisibleNames"},
	{"format characters in names", "internal/text/visible.go", edits{
		"unicode.In(r, unicode.Cf, unicode.Other",
		"unicode.In(r, unicode.Other",
	}, "./apikey", "TestVisibleNames"},
	{"fillers in names", "internal/text/visible.go", edits{
		"unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)",
		"unicode.In(r, unicode.Cf)",
	}, "./apikey", "TestVisibleNames"},
	{"messages in tag letters", "internal/text/visible.go", edits{
		"{3,6}",
		"*",
	}, "./apikey", "TestVisibleNames"},
	{"tag letters behind any character", "internal/text/visible.go", edits{
		"`\\x{1F3F4}[\\x{E0030}",
		"`.[\\x{E0030}",
	}, "./apikey", "TestVisibleNames"},
	{"an instance is not silent at the instant at which it is due", "cache/peer.go", edits{
		"!now.Before(k.due)", "now.After(k.due)",
	}, "./cache", "TestSilentOnceDue"},
}
