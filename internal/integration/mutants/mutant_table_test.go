package mutants_test

// The first one is tried in every run, so its tests should be quick.
var mutants = []mutant{
	// The cache's fence.
	{"no epoch compared", "cache/entry.go", edits{
		"return e.epoch == c.epochOf(&e.key).Load() && e.groupEpoch == c.groups[e.group].Load()",
		"return e.groupEpoch == c.groups[e.group].Load()",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"no group epoch compared", "cache/entry.go", edits{
		"return e.epoch == c.epochOf(&e.key).Load() && e.groupEpoch == c.groups[e.group].Load()",
		"return e.epoch == c.epochOf(&e.key).Load()",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"epoch read after the load", "cache/load.go", edits{
		"c.newEntry(f.id.key, f.id.epoch, began, found)",
		"c.newEntry(f.id.key, c.epochOf(&f.id.key).Load(), began, found)",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"group written during the load", "cache/fence.go", edits{
		"quiet(epoch) && g.ended.Load() <= gen",
		"quiet(epoch)",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"epoch moved only before the write", "cache/fence.go", edits{
		"func (e *epoch) begin() { e.Add(oneVersion + oneWriter) }",
		"func (e *epoch) begin() { e.Add(oneVersion) }",
		"func (e *epoch) end()   { e.Add(oneVersion - oneWriter) }",
		"func (e *epoch) end()   {}",
	}, "./cache", "TestFenceHoldsOffDuringWrite|TestFenceNothingStale"},
	{"epoch moved only after the write", "cache/fence.go", edits{
		"func (e *epoch) begin() { e.Add(oneVersion + oneWriter) }",
		"func (e *epoch) begin() {}",
		"func (e *epoch) end()   { e.Add(oneVersion - oneWriter) }",
		"func (e *epoch) end()   { e.Add(oneVersion) }",
	}, "./cache", "TestFenceHoldsOffDuringWrite"},
	{"filled during a write", "cache/load.go", edits{
		"if !quiet(e.epoch) || fence.Load() != e.epoch {",
		"if fence.Load() != e.epoch {",
	}, "./cache", "TestFenceHoldsOffDuringWrite"},
	{"filled during a write of its group", "cache/fence.go", edits{
		"quiet(epoch) && g.ended.Load() <= gen",
		"g.ended.Load() <= gen",
	}, "./cache", "TestFenceLoadBegunDuringWrite/of_its_group"},
	{"fills of all groups stopped by one", "cache/fence.go", edits{
		"return uint16(stripeOf(key))",
		"return 0 * uint16(stripeOf(key))",
	}, "./cache", "TestFenceOfAnotherGroup"},
	{"epoch not in the flight's name", "cache/flight.go", edits{
		"f, ok := c.flights[id]",
		"at := id\n\tat.epoch = 0\n\tf, ok := c.flights[at]",
		"\t\tc.flights[id] = f",
		"\t\tc.flights[at] = f",
		"if c.flights[f.id] == f {\n\t\tdelete(c.flights, f.id)",
		"at := f.id\n\tat.epoch = 0\n\tif c.flights[at] == f {\n\t\tdelete(c.flights, at)",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"generation not in the flight's name", "cache/flight.go", edits{
		"f, ok := c.flights[id]",
		"at := id\n\tat.gen = 0\n\tf, ok := c.flights[at]",
		"\t\tc.flights[id] = f",
		"\t\tc.flights[at] = f",
		"if c.flights[f.id] == f {\n\t\tdelete(c.flights, f.id)",
		"at := f.id\n\tat.gen = 0\n\tif c.flights[at] == f {\n\t\tdelete(c.flights, at)",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"load from before oneself joined during a write", "cache/load.go", edits{
		"!leads && !(leased && quiet(id.epoch) && same)",
		"!leads && !(leased && (same || true))",
	}, "./cache", "TestFenceLoadBegunDuringWrite"},
	{"Del and Wait instead of epochs", "cache/fence.go", edits{
		"\tfor i := range keys {\n\t\tc.epochOf(&keys[i]).begin()\n\t}\n",
		"",
		"\tfor i := range keys {\n\t\tc.epochOf(&keys[i]).end()\n\t}\n",
		`	for i := range keys {
		c.flying.Lock()
		delete(c.flights, flightID{key: keys[i]})
		c.flying.Unlock()
		latest := &c.table.latest[stripeOf(&keys[i])]
		latest.present.Store(nil)
		latest.absent.Store(nil)
		c.table.present.Del(idOf(&keys[i]))
		c.table.absent.Del(idOf(&keys[i]))
	}
	c.table.present.Wait()
	c.table.absent.Wait()
`,
	}, "./cache", "TestFenceLoadBegunBeforeWrite|TestFenceNothingStaleAfterWrite$"},
	{"a write that panics takes the fence with it", "cache/fence.go", edits{
		"err = guard.Run(func() (err error) {\n\t\ttell, err = write(ctx)\n\t\treturn err\n\t})",
		"tell, err = write(ctx)\n\t_ = guard.Run",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"a panic changes nothing", "cache/fence.go", edits{
		"tell := true\n",
		"tell := false\n",
	}, "./apikey", "TestUncertainChangesArePublished"},
	{"stale value served though written since", "cache/entry.go", edits{
		"if e == nil || !c.isUnwritten(e) {",
		"if e == nil {",
	}, "./cache", "TestStaleIfError"},
	{"a prefix of any length", "apikey/token.go", edits{
		"len(s) < minPrefix || len(s) > maxPrefix ||",
		"len(s) < minPrefix || len(s) > maxLegacy ||",
	}, "./apikey", "TestPrefixGrammar"},
	{"no room for the hint of the longest prefix", "apikey/params.go", edits{
		"= maxPrefix + 1 + hintLen",
		"= maxPrefix + hintLen",
	}, "./apikey", "TestGoodVectors"},
	{"stale value served for another TTL", "cache/entry.go", edits{
		"return c.age(e, now) < c.opts.StaleIfError &&",
		"return c.age(e, now) < c.opts.StaleIfError+c.opts.TTL &&",
	}, "./cache", "TestStaleBound"},
	{"stale value served for ever", "cache/entry.go", edits{
		"e != nil && c.mayBeStale(e, now) {",
		"e != nil {",
	}, "./cache", "TestStaleIfError"},
	{"what is gone comes back in an outage", "cache/load.go", edits{
		"\tif e.absent && c.lastKnown(&e.key) != nil {\n\t\treturn false",
		"\tif false {\n\t\treturn false",
	}, "./cache", "TestOutageBringsNothingBack$"},
	{"what was not kept leaves what was known", "cache/load.go", edits{
		"!c.keep(e, gen) && (e.absent || c.opts.StaleIfError > 0)",
		"!c.keep(e, gen) && e.absent",
	}, "./cache", "TestOutageBringsNothingBackBesideAWrite"},
	{"age by the monotonic clock alone", "cache/entry.go", edits{
		"return max(now.Sub(c.start)-e.began, time.Duration(now.UnixNano()-e.beganWall))",
		"return now.Sub(c.start) - e.began",
	}, "./cache", "TestAgeGoesByTheLaterClock"},
	{"stale for who cannot wait", "cache/load.go", edits{
		"\t\t\treturn false, gaveUp(ctx)",
		"\t\t\tif known != nil {\n\t\t\t\treturn true, nil\n\t\t\t}\n\t\t\treturn false, gaveUp(ctx)",
	}, "./cache", "TestNothingStaleForWhoCannotWait"},
	{"an error that panics in the background", "internal/guard/call.go", edits{
		"\t_ = errors.Is(e, errProbe)\n",
		"\t_ = errProbe\n",
	}, "./internal/guard", "TestBrokenCalls"},
	{"a load's error passed on as an answer", "cache/load.go", edits{
		"return nil, fmt.Errorf(\"cache: load: %w\", err)",
		"return nil, err",
	}, "./cache", "TestErrorsOfLoadsAreNoAnswers"},
	{"keys compared by their first bytes", "cache/cache.go", edits{
		"return (le.Uint64(a[0:])^le.Uint64(b[0:]))|(le.Uint64(a[8:])^le.Uint64(b[8:]))|\n\t\t(le.Uint64(a[16:])^le.Uint64(b[16:]))|(le.Uint64(a[24:])^le.Uint64(b[24:])) == 0",
		"return le.Uint64(a[0:]) == le.Uint64(b[0:])",
	}, "./cache", "TestKeysAreComparedWhole"},

	// The rest of the cache.
	{"absent entries among the present ones", "cache/table.go", edits{
		"t.absent.Set(idOf(&e.key), e, 1)",
		"t.present.Set(idOf(&e.key), e, 1)",
		"present, _ := t.present.Get(idOf(key))\n\tabsent, _ := t.absent.Get(idOf(key))",
		"present, _ := t.present.Get(idOf(key))\n\tabsent := present",
	}, "./cache", "TestFloodOfAbsentKeysInOneStripe"},
	{"absent keys as many as values", "cache/table.go", edits{
		"newRistretto[V](max(size/10, 1))",
		"newRistretto[V](size)",
	}, "./cache", "TestSizeIsABound"},
	{"ten times the size kept", "cache/table.go", edits{
		"MaxCost:     int64(size),",
		"MaxCost:     10 * int64(size),",
	}, "./cache", "TestSizeIsABound"},
	{"load ends with its first caller", "cache/flight.go", edits{
		"context.WithCancel(context.WithoutCancel(ctx))",
		"context.WithCancel(ctx)",
	}, "./cache", "TestSingleFlight"},
	{"a load's panic not recovered", "internal/guard/call.go", edits{
		"if p := recover(); p != nil {",
		"if p := any(nil); p != nil {",
	}, "./cache", "TestBrokenLoads"},
	{"a deaf load waited for", "internal/guard/call.go", edits{
		"case <-ctx.Done():",
		"case <-context.Background().Done():",
	}, "./cache", "TestBrokenLoads"},
	{"loads not bounded", "cache/cache.go", edits{
		"guard.NewPlaces(maxKnown, maxWaiting)",
		"guard.NewPlaces(1<<20, maxWaiting)",
	}, "./cache", "TestPlacesOfLoads"},
	{"failures cached", "cache/load.go", edits{
		"\tif err != nil {\n\t\treturn nil, fmt.Errorf(\"cache: load: %w\", err)\n\t}\n",
		"\tfound.Absent = found.Absent || err != nil\n",
	}, "./cache", "TestBrokenLoads"},
	{"TTL not checked", "cache/entry.go", edits{
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends && wall < e.endsWall",
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e)",
	}, "./cache", "TestTTL"},
	{"monotonic clock not checked", "cache/entry.go", edits{
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends && wall < e.endsWall",
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && wall < e.endsWall",
	}, "./cache", "TestEitherClockEndsEntry"},
	{"wall clock not checked", "cache/entry.go", edits{
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends && wall < e.endsWall",
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e) && elapsed < e.ends",
	}, "./cache", "TestEitherClockEndsEntry"},
	{"Until not honoured", "cache/entry.go", edits{
		"e.ends, e.endsWall = min(e.ends, e.began+left), min(e.endsWall, e.untilWall)",
		"_ = until",
	}, "./cache", "TestUntilEndsAnEntryEarly"},
	{"life counted from the end of the load", "cache/load.go", edits{
		"c.newEntry(f.id.key, f.id.epoch, began, found)",
		"c.newEntry(f.id.key, f.id.epoch, time.Now(), found)",
	}, "./cache", "TestSlowLoadCountsAgainstTTL"},
	{"TTL lengthened by the jitter", "cache/entry.go", edits{
		"return ttl - ttl/(10<<16)*part",
		"return ttl + ttl/(10<<16)*part",
	}, "./cache", "TestTTL"},
	{"the jitter overflows", "cache/entry.go", edits{
		"return ttl - ttl/(10<<16)*part",
		"return ttl - ttl/10*part/(1<<16)",
	}, "./cache", "TestShortenNeverLengthens"},
	{"an entry from before everything was marked stale comes back", "cache/table.go", edits{
		"if !t.strict || int64(",
		"if t.strict || int64(",
	}, "./cache", "TestOlderEntryEnds"},
	{"Get enters after Close", "cache/table.go", edits{
		"if g.closed.Load() {",
		"if false {",
	}, "./cache", "TestGate"},
	{"Close does not wait", "cache/table.go", edits{
		"for g.lanes[i].inside.Load() > 0 {",
		"for g.lanes[i].inside.Load() < 0 {",
	}, "./cache", "TestCloseWaitsForLoads|TestGate"},
	{"served after Close", "cache/cache.go", edits{
		"c.epochs[i].begin()",
		"_ = i",
	}, "./cache", "TestNothingIsKeptAfterClose"},

	// The Manager over the cache.
	{"no fence on Register", "apikey/create.go", edits{
		"change(ctx, m, t, insert, cache.Key(r.Digest))",
		"change(ctx, m, t, insert)",
	}, "./apikey", "TestRegisterEndsNegativeEntry"},
	{"no fence on RevokeAll", "apikey/revokeall.go", edits{
		"a.keys.Change(ctx, nil, []cache.Key{ownerKey(a.owner)}, func(",
		"a.keys.Change(ctx, nil, nil, func(",
	}, "./apikey", "TestRevokedNeverValidates/RevokeAll"},
	{"no fence on Rotate's old key", "apikey/create.go", edits{
		"change(ctx, m, t, rotate, cache.Key(r.Digest), cache.Key(next.Digest))",
		"change(ctx, m, t, rotate, cache.Key(next.Digest))",
	}, "./apikey", "TestRevokedNeverValidates/Rotate"},
	{"no fence on Revoke", "apikey/write.go", edits{
		"done, err = change(ctx, m, t, do, cache.Key(before.Digest))",
		"done, err = change(ctx, m, t, do)\n\t_ = cache.Key(before.Digest)",
	}, "./apikey", "TestRevokedNeverValidates/Revoke$"},
	{"no fence on Update", "apikey/write.go", edits{
		"done, err = change(ctx, m, t, do, cache.Key(before.Digest))",
		"done, err = change(ctx, m, t, do)\n\t_ = cache.Key(before.Digest)",
	}, "./apikey", "TestRevokedNeverValidates/Disable"},
	{"fence given up before the change is made", "cache/fence.go", edits{
		"\ttell := true\n",
		"\tc.release(keys, groups)\n\ttell := true\n",
		"\tif !tell {\n\t\tc.release(keys, groups)\n",
		"\tif !tell {\n",
		"\tc.release(keys, groups)\n\tunsent",
		"\tunsent",
	}, "./apikey", "TestStoreIgnoresContext$|TestRevokedNeverValidates"},
	{"deaf store waited for", "internal/guard/call.go", edits{
		"case <-ctx.Done():",
		"case <-context.Background().Done():",
	}, "./apikey", "TestStoreIgnoresContext$"},
	{"calls not bounded", "apikey/lane.go", edits{
		"maxReads     = 4 ",
		"maxReads     = 1 << 20 ",
	}, "./apikey", "TestAbandonedCallsAreBounded"},
	{"rotation not verified", "apikey/create.go", edits{
		"if err == nil && !done.value.matches(owner, id, next, ends) {",
		"if err == nil && done.value.old.ID != id {",
	}, "./apikey", "TestStoreWritesNothing"},
	{"rotation: an old key of another id trusted", "apikey/create.go", edits{
		"return ended && r.old.ID == id &&", "return ended &&",
	}, "./apikey", "TestForgedRotations"},
	{"rotation: another owner's old key trusted", "apikey/create.go", edits{
		"r.old.Owner == owner && r.old.ReplacedBy", "r.old.ReplacedBy",
	}, "./apikey", "TestForgedRotations"},
	{"rotation: another successor trusted", "apikey/create.go", edits{
		" && r.old.ReplacedBy == next.ID &&", " &&",
	}, "./apikey", "TestForgedRotations"},
	{"rotation: another owner's new key trusted", "apikey/create.go", edits{
		" && r.made.Owner == owner &&", " &&",
	}, "./apikey", "TestForgedRotations"},
	{"rotation: a new key of another token trusted", "apikey/create.go", edits{
		" && r.made.Digest == next.Digest", "",
	}, "./apikey", "TestForgedRotations"},
	{"rotation: a later end of the old key trusted", "apikey/create.go", edits{
		" && !r.old.ExpiresAt.After(ends)", "",
	}, "./apikey", "TestForgedRotations"},
	{"ids of any length looked for", "apikey/get.go", edits{
		`id != "" && len(id) <= maxID &&`, `id != "" &&`,
	}, "./apikey", "TestImpossibleIDs"},
	{"a record without a digest trusted", "apikey/get.go", edits{
		" || r.ID != id || r.Digest.IsZero() {", " || r.ID != id {",
	}, "./apikey", "TestAnotherKeyOfTheOwner"},
	{"another key of the owner trusted", "apikey/get.go", edits{
		"if r.Owner != owner || r.ID != id ||", "if r.Owner != owner ||",
	}, "./apikey", "TestAnotherKeyOfTheOwner"},
	{"disabling not verified", "apikey/update.go", edits{
		"(genuine(r, owner, id) != nil || disables(change) && r.DisabledAt.IsZero())",
		"genuine(r, owner, id) != nil",
	}, "./apikey", "TestStoreWritesNothing"},
	{"revocation of all not verified", "apikey/revokeall.go", edits{
		"genuine(r, a.owner, r.ID) != nil || r.RevokedAt.IsZero() ||",
		"genuine(r, a.owner, r.ID) != nil ||",
	}, "./apikey", "TestStoreWritesNothing"},
	{"the plan handed out where a handler can change it", "apikey/principal.go", edits{
		"return p.plan.Clone()",
		"return *p.plan",
	}, "./apikey", "TestHandlerChangesNoRights"},
	{"the plan kept where the provider can change it", "apikey/plan.go", edits{
		"e = e.Clone() // the provider may still change its own",
		"",
	}, "./apikey", "TestHandlerChangesNoRights"},
	{"the scopes of a key and its metadata mixed up", "apikey/principal.go", edits{
		"for list := p.at(textScopes); list != \"\"; {\n\t\tvar granted",
		"for list := p.at(textMetadata); list != \"\"; {\n\t\tvar granted",
	}, "./apikey", "TestHandlerChangesNoRights"},
	{"expiry beyond any clock trusted", "apikey/validate.go", edits{
		" && isValidTime(r.ExpiresAt)",
		"",
	}, "./apikey", "TestBrokenStore"},
	{"no fence on Update, by the histories", "apikey/write.go", edits{
		"done, err = change(ctx, m, t, do, cache.Key(before.Digest))",
		"done, err = change(ctx, m, t, do)\n\t_ = cache.Key(before.Digest)",
	}, "./internal/integration/linearizability", "TestLinearizable$"},
	{"epoch moved only after the write, by the histories", "cache/fence.go", edits{
		"func (e *epoch) begin() { e.Add(oneVersion + oneWriter) }",
		"func (e *epoch) begin() {}",
		"func (e *epoch) end()   { e.Add(oneVersion - oneWriter) }",
		"func (e *epoch) end()   { e.Add(oneVersion) }",
	}, "./internal/integration/linearizability", "TestLinearizable$"},
	{"decision cached", "apikey/principal.go", edits{
		"import (\n",
		"import (\n\t\"sync\"\n",
		"func (p *Principal) Allows(scope string) bool {",
		`var decisions sync.Map

func (p *Principal) Allows(scope string) bool {
	allowed, _ := decisions.LoadOrStore(p, p.allows(scope))
	return allowed.(bool)
}

func (p *Principal) allows(scope string) bool {`,
	}, "./apikey", "TestCacheHoldsNoDecision"},
	{"first entitlement kept", "apikey/validate.go", edits{
		"if p == nil || p.plan != e {",
		"if p == nil {",
	}, "./apikey", "TestPlanChangesUnderCachedKey"},
	{"outage answered as unknown key", "apikey/validate.go", edits{
		"\t\tcase err != nil:\n\t\t\treturn found, err",
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*cachedKey]{Absent: true}, nil",
	}, "./apikey", "TestBrokenStore"},
	{"record of another digest accepted", "apikey/validate.go", edits{
		`return r.Digest == d && r.ID != ""`,
		`return r.ID != ""`,
	}, "./apikey", "TestBrokenStore"},
	{"record without owner accepted", "apikey/validate.go", edits{
		`r.ID != "" && r.Owner != "" &&`,
		`r.ID != "" &&`,
	}, "./apikey", "TestBrokenStore"},
	{"garbage reaches the store", "apikey/validate.go", edits{
		"if !(m.token.wellFormed(token) && m.token.verify(token)) && !m.token.isLegacy(token) {",
		"if !m.token.wellFormed(token) && !m.token.isLegacy(token) {",
	}, "./apikey", "TestGarbageFlood"},
	{"MAC not checked", "apikey/token.go", edits{
		"if k.verify(signed, mac) {",
		"if k.verify(signed, mac) || true {",
	}, "./apikey", "TestGarbageFlood"},
	{"MAC left off", "apikey/token.go", edits{
		"(f.hasMAC(token) || len(f.macs) == 0 || f.withoutMAC) && f.hasOwnForm(token)",
		"f.hasOwnForm(token)",
	}, "./apikey", "TestTurningMACsOn|TestMACCannotBeLeftOff"},
	{"a legacy format of the own form switches the checksum off", "apikey/token.go", edits{
		"len(token) > maxLegacy || f.hasOwnForm(token) || !text.IsVisibleASCII(token)",
		"len(token) > maxLegacy || !text.IsVisibleASCII(token)",
	}, "./apikey", "TestTurningMACsOn"},
	{"a token without a MAC needs no checksum", "apikey/token.go", edits{
		"if want := checksum(body); sum != string(want[:]) {",
		"if want := checksum(body); sum != string(want[:]) && !(f.withoutMAC && !f.hasMAC(token)) {",
	}, "./apikey", "TestTurningMACsOn"},
	{"checksum not checked", "apikey/token.go", edits{
		"sum != string(want[:])",
		"len(sum) != len(want)",
	}, "./apikey", "TestOneSpelling"},
	{"plan's expiry not looked at", "entitlement/entitlement.go", edits{
		"return e.APIAccess && (e.ValidUntil.IsZero() || at.Before(e.EndsAt()))",
		"return e.APIAccess",
	}, "./apikey", "TestEntitlementResults|TestValidUntil"},
	{"provider's outage answered as not entitled", "apikey/plan.go", edits{
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*entitlement.Entitlement]{}, err",
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*entitlement.Entitlement]{Absent: true}, nil",
	}, "./apikey", "TestEntitlementResults"},
	{"store's panic not recovered", "internal/guard/call.go", edits{
		"if p := recover(); p != nil {",
		"if p := any(nil); p != nil {",
	}, "./apikey", "TestManagementErrorsSurface"},
	{"record of another part listed", "apikey/list.go", edits{
		"genuine(r, p.Owner, r.ID) != nil || !q.Matches(r)",
		"genuine(r, p.Owner, r.ID) != nil",
	}, "./apikey", "TestStoreIgnoresFilter"},
	{"forged record managed", "apikey/get.go", edits{
		"if r.Owner != owner || r.ID != id || r.Digest.IsZero() {",
		"if r.Digest.IsZero() {",
	}, "./apikey", "TestForgedManagementResults"},
	{"revocation not verified", "apikey/revoke.go", edits{
		"if err == nil && (genuine(r, owner, id) != nil || r.RevokedAt.IsZero()) {",
		"if err == nil && genuine(r, owner, id) != nil {",
	}, "./apikey", "TestForgedManagementResults"},
	{"another owner's key told apart", "apikey/manager.go", edits{
		"Owner: owner, KeyID: id})\n\t\treturn ErrNotFound",
		"Owner: owner, KeyID: id})\n\t\treturn fmt.Errorf(\"%w: another owner's\", ErrNotFound)",
	}, "./apikey", "TestOtherOwnersKey"},
	{"last-used times lost at Close", "apikey/lastused.go", edits{
		"if err := u.flush(ctx); err != nil {",
		"if err := ctx.Err(); err != nil {",
	}, "./apikey", "TestCloseFlushesLastUsed"},

	{"size of the cache not passed on", "apikey/manager.go", edits{
		"Size:         m.opts.CacheSize,",
		"Size:         100_000,",
	}, "./apikey", "TestOptionsOfTheCache"},
	{"absent answers not passed a life of their own", "apikey/manager.go", edits{
		"NegativeTTL:  m.opts.NegativeTTL,",
		"NegativeTTL:  m.opts.CacheTTL,",
	}, "./apikey", "TestOptionsOfTheCache"},
	{"waiting uses not bounded", "apikey/lastused.go", edits{
		"room := len(s.uses) < maxShardUses",
		"room := true",
	}, "./apikey", "TestWaitingUsesAreBounded"},
	{"one key twice in a batch", "apikey/lastused.go", edits{
		"uses = slices.CompactFunc(uses, func(a, b waitingUse) bool { return a.Digest == b.Digest })",
		"",
	}, "./apikey", "TestUsesOfOneKeyAreOne"},
	{"one bad batch keeps the others", "apikey/lastused.go", edits{
		"if !errors.Is(failed, context.DeadlineExceeded) && !errors.Is(failed, context.Canceled) {",
		"if failed == nil {",
	}, "./apikey", "TestOneBadBatch"},
	{"outages not logged", "apikey/manager.go", edits{
		"m.logFailure(ctx, what, err)",
		"_ = err",
	}, "./apikey", "TestLogLevels"},
	{"reuse not told from any refusal", "apikey/event.go", edits{
		"case EventRevokedKeyUsed, EventOwnerMismatch:",
		"case EventOwnerMismatch:",
	}, "./apikey", "TestLogLevels"},

	// The middleware.
	{"no Vary on Authorization", "apikey/middleware.go", edits{
		"h[\"Vary\"] = append(h[\"Vary\"], c.header)",
		"if !c.bearer {\n\t\th[\"Vary\"] = append(h[\"Vary\"], c.header)\n\t}",
	}, "./apikey", "TestHTTPCache$"},
	{"credential left in the headers", "apikey/middleware.go", edits{
		"delete(h, m.carriers[i].header)",
		"_ = m.carriers[i].header",
	}, "./apikey", "TestCredentialIsRemoved|TestUpstreamSeesNoToken"},
	{"first of two carriers wins", "apikey/credential.go", edits{
		"if len(values) > 1 || via != nil {",
		"if via != nil {\n\t\t\tcontinue\n\t\t}\n\t\tif len(values) > 1 {",
	}, "./apikey", "TestRawHeaders$"},
	{"first of two headers wins", "apikey/credential.go", edits{
		"if len(values) > 1 || via != nil {",
		"if via != nil {",
	}, "./apikey", "TestRawHeaders$"},
	{"outage answered 401", "apikey/problem.go", edits{
		"\tcase errors.Is(err, ErrUnavailable):\n\t\treturn problemUnavailable",
		"\tcase errors.Is(err, ErrUnavailable):\n\t\treturn problemUnauthorized",
	}, "./apikey", "TestRefusals|TestOutageIs503"},
	{"refused request handed on", "apikey/middleware.go", edits{
		"\t\tg.manager.WriteError(w, r, err)\n\t\treturn",
		"\t\tg.manager.WriteError(w, r, err)",
	}, "./apikey", "TestRefusals"},
	{"scopes not asked for", "apikey/middleware.go", edits{
		"if err == nil && !p.allowsAll(scopes) {",
		"if err == nil && !p.allowsAll(nil) {",
	}, "./apikey", "TestRouteCarrierScopeMatrix"},

	{"form and files not given back to the server's request", "apikey/request.go", edits{
		"\t\tr.MultipartForm = in.MultipartForm\n",
		"\t\t_ = in.MultipartForm\n",
	}, "./apikey", "TestMiddlewareConformance"},
	{"files of a handler that panics stay", "apikey/request.go", edits{
		"if panicked && !parsed && r.MultipartForm != nil {",
		"if false && panicked && !parsed {",
	}, "./apikey", "TestMiddlewareConformance"},
	{"pattern not given back", "apikey/request.go", edits{
		"r.Pattern = in.Pattern\n",
		"_ = in.Pattern\n",
	}, "./apikey", "TestMiddlewareConformance"},
	{"trailers that were not announced lost", "apikey/request.go", edits{
		"in.Trailer = r.Trailer\n",
		"_ = in.Trailer\n",
	}, "./apikey", "TestMiddlewareConformance"},
	{"a writer that cannot be hijacked", "apikey/hook.go", edits{
		"_, hijacker := w.ResponseWriter.(http.Hijacker)",
		"hijacker := false",
	}, "./apikey", "TestMiddlewareConformance"},
	{"response to another header not kept private", "apikey/middleware.go", edits{
		"return hooked.writer(), func() { hooked.before(0) }",
		"return w, func() { _ = hooked }",
	}, "./apikey", "TestHTTPCacheThatIgnoresVary"},
	{"flushed before it is private", "apikey/hook.go", edits{
		"\tw.before(0)\n\terr := http.NewResponseController(w.ResponseWriter).Flush()",
		"\terr := http.NewResponseController(w.ResponseWriter).Flush()",
	}, "./apikey", "TestHTTPCacheThatIgnoresVary"},
	{"headers for CDNs alone left", "apikey/privacy.go", edits{
		"case isForSharedCaches(name):",
		"case isForSharedCaches(name) && name == \"\":",
	}, "./apikey", "TestStaysPrivate"},
	{"early hints end the privacy", "apikey/hook.go", edits{
		"w.sent = w.sent || isFinal(status)",
		"w.sent = true",
	}, "./apikey", "TestHTTPCacheThatIgnoresVary/informational"},
	{"a ReadFrom of nothing ends the privacy", "apikey/hook.go", edits{
		"w.sent = w.sent || n > 0",
		"w.sent = true",
	}, "./apikey", "TestStaysPrivate"},
	{"a status that there is not ends the privacy", "apikey/hook.go", edits{
		"w.before(status)\n\tw.ResponseWriter.WriteHeader(status)\n\tw.sent = w.sent || isFinal(status)",
		"w.before(status)\n\tw.sent = w.sent || status >= 200\n\tw.ResponseWriter.WriteHeader(status)",
	}, "./apikey", "TestStaysPrivate"},
	{"an ErrorHandler that sends no status makes a 200", "apikey/hook.go", edits{
		"status >= 200 && status <= 999",
		"status >= 200",
	}, "./apikey", "TestErrorHandler$"},
	{"headers of before kept private", "apikey/middleware.go", edits{
		"keepPrivate(w.Header()) }",
		"keepPrivate(h) }",
	}, "./apikey", "TestStaysPrivate"},
	{"another scheme beside a key is a second credential", "apikey/credential.go", edits{
		"if len(values) == 1 && carriers[i].foreign(values[0]) {",
		"if false {",
	}, "./apikey", "TestRawHeaders$"},
	{"a token in a header that proxies log", "apikey/credential.go", edits{
		"if isForbidden(name) {",
		"if isForbidden(name) && name == \"Cookie\" {",
	}, "./apikey", "TestHeaderNames$"},

	{"MAC keys printed with a Manager", "apikey/manager.go", edits{
		"\tm.opts.MACKeys = nil // so that no verb of fmt shows them\n",
		"",
	}, "./apikey", "TestMACKeysAreNotPrinted"},
	{"MAC keys printed with Options", "apikey/options.go", edits{
		"\to.MACKeys = nil\n\t_, _ = fmt",
		"\t_, _ = fmt",
	}, "./apikey", "TestMACKeysAreNotPrinted"},

	{"a caller that hangs up reported as an outage", "apikey/validate.go", edits{
		"if ctx.Err() == nil {\n\t\t_ = m.refuse(ctx, p, ErrUnavailable)",
		"if true {\n\t\t_ = m.refuse(ctx, p, ErrUnavailable)",
	}, "./apikey", "TestCallersThatHangUp"},
	{"a caller that hangs up logged as an error", "apikey/manager.go", edits{
		"case ctx.Err() != nil && !overloaded(err): // the caller went away",
		"case ctx.Err() == errForged:",
	}, "./apikey", "TestCallersThatHangUp"},
	{"a line in the log for each failed call", "apikey/loglimit.go", edits{
		"time.Second); due {",
		"time.Second); due || true {",
	}, "./apikey", "TestOutagesAreLoggedOnceASecond"},
	{"all owners' revoked keys share the warnings", "apikey/loglimit.go", edits{
		"row := &r.rows[maphash.String(r.seed, owner)%uint64(len(r.rows))]",
		"row := &r.rows[maphash.String(r.seed, owner)%1]",
	}, "./apikey", "TestWarningsOfOneOwnerDoNotHideOthers"},
	{"an interrupted RevokeAll not remembered", "apikey/revokeall.go", edits{
		"m.ended.rememberEach(run.revoked)\n",
		"\n",
	}, "./apikey", "TestInterruptedRevokeAllOutlivesTheStore"},
	{"private behind what may be in quotes", "apikey/privacy.go", edits{
		"append([]string{\"private\"}, directives...)",
		"append(directives, \"private\")",
	}, "./apikey", "TestStaysPrivateBesideQuotes"},
	{"panel: API keys share their owner's quota", "apikey/selfservice/problem.go", edits{
		"if who.key != nil {\n\t\tcounted",
		"if false {\n\t\tcounted",
	}, "./apikey/selfservice", "TestStolenKeyDoesNotThrottleItsOwner"},
	{"panel: a busy owner's page is a fault of the host", "apikey/selfservice/problem.go", edits{
		"case errors.Is(err, apikey.ErrLimited):\n\t\treturn limited",
		"case errors.Is(err, apikey.ErrLimited):\n\t\treturn internal",
	}, "./apikey/selfservice", "TestPageOfBusyOwner"},
	{"a warning for each use of a revoked key", "apikey/loglimit.go", edits{
		"if now < next || !l.next",
		"if !l.next",
	}, "./apikey", "TestRevokedKeyInUseIsLoggedOnceAMinute"},
	{"a missing scope not reported", "apikey/middleware.go", edits{
		"return nil, nil, m.refuse(ctx, p, &scopeError{scopes})",
		"return nil, nil, &scopeError{scopes}",
	}, "./apikey", "TestAuthorize"},

	// The store in memory; what notices here notices in every other store.
	{"last use of a revoked key written", "store/rule.go", edits{
		"if !r.RevokedAt.IsZero() || !at.After(r.LastUsedAt) && !wrong {",
		"if !at.After(r.LastUsedAt) && !wrong {",
	}, "./store/memstore", "TestStore"},
	{"last use moved back", "store/rule.go", edits{
		"!at.After(r.LastUsedAt) && !wrong {",
		"!at.After(r.LastUsedAt) && !wrong && r.LastUsedAt.IsZero() {",
	}, "./store/memstore", "TestStore"},
	{"limit not checked", "store/memstore/memstore.go", edits{
		"if limit >= 0 && s.count(r.Owner, at) >= limit {",
		"if limit >= 0 && s.count(r.Owner, at) < 0 {",
	}, "./store/memstore", "TestStore"},
	{"replaced key free for ever", "store/record.go", edits{
		"return r.IsCurrent(at) && !free",
		"return r.IsCurrent(at) && !free && r.ReplacedBy == \"\"",
	}, "./store/memstore", "TestStore"},
	{"rotation not held to the limit", "store/memstore/memstore.go", edits{
		"s.count(owner, at) > limit {",
		"s.count(owner, at) < 0 {",
	}, "./store/memstore", "TestStore"},
	{"owner's latest instant ignored", "store/memstore/memstore.go", edits{
		"if latest := s.latest[owner]; latest.After(at) {",
		"if latest := s.latest[owner]; latest.After(at) && s == nil {",
	}, "./store/memstore", "TestStore"},
	{"limit and insert in two steps", "store/memstore/memstore.go", edits{
		"\tif limit >= 0 && s.count(r.Owner, at) >= limit {\n\t\treturn store.ErrLimit\n\t}",
		"\tif limit >= 0 && s.count(r.Owner, at) >= limit {\n\t\treturn store.ErrLimit\n\t}\n\ts.mu.Unlock()\n\ttime.Sleep(time.Microsecond)\n\ts.mu.Lock()",
	}, "./store/memstore", "TestStore"},
	{"oldest first", "store/memstore/memstore.go", edits{
		"range slices.Backward(s.olderThan(q))",
		"range slices.All(s.olderThan(q))",
	}, "./store/memstore", "TestStore"},
	{"list of a part has the others too", "store/memstore/memstore.go", edits{
		"if !q.Matches(*r) {",
		"if !q.Matches(*r) && q.PageSize() == 0 {",
	}, "./store/memstore", "TestStore"},
	{"later revocation overwrites the first", "store/rule.go", edits{
		"\tif !r.RevokedAt.IsZero() {\n\t\treturn r, false\n\t}\n",
		"",
	}, "./store/memstore", "TestStore"},
	{"replaced key rotated again", "store/rule.go", edits{
		`if !r.IsActive(judged) || r.ReplacedBy != "" {`,
		"if !r.IsActive(judged) {",
	}, "./store/memstore", "TestStore"},
	{"revoked key rotated", "store/rule.go", edits{
		`if !r.IsActive(judged) || r.ReplacedBy != "" {`,
		`if judged.IsZero() || r.ReplacedBy != "" {`,
	}, "./store/memstore", "TestStore"},
	{"rotation lengthens a life", "store/rule.go", edits{
		"case old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt):",
		"default:",
	}, "./store/memstore", "TestStore"},
	{"revoked key changed", "store/rule.go", edits{
		"if !r.RevokedAt.IsZero() {\n\t\treturn Record{}, ErrConflict",
		"if false {\n\t\treturn Record{}, ErrConflict",
	}, "./store/memstore", "TestStore"},
	{"another owner's key found", "store/memstore/memstore.go", edits{
		"case r.Owner != owner:",
		"case r.Owner == \"\":",
	}, "./store/memstore", "TestStore"},
	{"record shared with the caller", "store/memstore/memstore.go", edits{
		"\treturn r.Clone(), nil\n}\n\n// Get implements",
		"\treturn *r, nil\n}\n\n// Get implements",
	}, "./store/memstore", "TestStore"},
}
