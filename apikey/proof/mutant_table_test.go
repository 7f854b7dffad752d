package proof_test

// The first one is tried in every run, so its tests should be quick.
var mutants = []mutant{
	// The cache's fence.
	{"no epoch compared", "cache/entry.go", edits{
		"return e.epoch == s.word.Load() && e.groupEpoch == e.group.Load()",
		"return e.groupEpoch == e.group.Load()",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"no group epoch compared", "cache/entry.go", edits{
		"return e.epoch == s.word.Load() && e.groupEpoch == e.group.Load()",
		"return e.epoch == s.word.Load()",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"epoch read after the load", "cache/load.go", edits{
		"e := c.newEntry(key, epoch, began, found, absent)",
		"e := c.newEntry(key, c.stripe(&key).word.Load(), began, found, absent)",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"group written during the load", "cache/load.go", edits{
		"if c.gen.Load() != gen {",
		"if false {",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"epoch moved only before the write", "cache/fence.go", edits{
		"func (w *word) begin() { w.Add(oneVersion + oneWriter) }",
		"func (w *word) begin() { w.Add(oneVersion) }",
		"func (w *word) end()   { w.Add(oneVersion - oneWriter) }",
		"func (w *word) end()   {}",
	}, "./cache", "TestFenceHoldsOffDuringWrite|TestFenceNothingStale"},
	{"epoch moved only after the write", "cache/fence.go", edits{
		"func (w *word) begin() { w.Add(oneVersion + oneWriter) }",
		"func (w *word) begin() {}",
		"func (w *word) end()   { w.Add(oneVersion - oneWriter) }",
		"func (w *word) end()   { w.Add(oneVersion) }",
	}, "./cache", "TestFenceHoldsOffDuringWrite"},
	{"filled during a write", "cache/load.go", edits{
		"if !quiet(e.epoch) || !quiet(gen) || s.word.Load() != e.epoch {",
		"if s.word.Load() != e.epoch {",
	}, "./cache", "TestFenceHoldsOffDuringWrite"},
	{"epoch not in the flight's name", "cache/load.go", edits{
		"binary.LittleEndian.PutUint64(name[len(key):], epoch)",
		"_ = epoch",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"generation not in the flight's name", "cache/load.go", edits{
		"binary.LittleEndian.PutUint64(name[len(key)+8:], gen)",
		"_ = gen",
	}, "./cache", "TestFenceLoadBegunBeforeWrite"},
	{"load from before oneself joined during a write", "cache/load.go", edits{
		"!leads && !(quiet(epoch) && quiet(gen))",
		"!leads && false",
	}, "./cache", "TestFenceLoadBegunDuringWrite"},
	{"Forget, Del and Wait instead of epochs", "cache/fence.go", edits{
		// Without the shortcut past ristretto, whose entries would have to be
		// removed too.
		"func (s *stripe[V]) keepRecent(e *entry[V]) {",
		"func (s *stripe[V]) keepRecent(e *entry[V]) {\n\tif e != nil {\n\t\treturn\n\t}",
		"\tfor i := range keys {\n\t\tw := &c.stripe(&keys[i]).word\n\t\tw.begin()\n\t\tdefer w.end()\n\t}\n\treturn write()",
		`	err := write()
	for i := range keys {
		c.flights.Forget(flightName(&keys[i], 0, 0))
		c.present.Del(shelfID(&keys[i]))
		c.absent.Del(shelfID(&keys[i]))
	}
	c.present.Wait()
	c.absent.Wait()
	return err`,
	}, "./cache", "TestFenceLoadBegunBeforeWrite|TestFenceNothingStaleAfterWrite$"},
	{"a panic leaves the write under way", "cache/fence.go", edits{
		"\t\tw := &c.stripe(&keys[i]).word\n\t\tw.begin()\n\t\tdefer w.end()\n\t}\n\treturn write()",
		`		c.stripe(&keys[i]).word.begin()
	}
	err := write()
	for i := range keys {
		c.stripe(&keys[i]).word.end()
	}
	return err`,
	}, "./cache", "TestFenceMovesOnFailure"},
	{"a panic leaves the group's write under way", "cache/fence.go", edits{
		"\tdefer c.gen.end()\n",
		"",
		"\tw := c.group(&group)\n\tw.begin()\n\tdefer w.end()\n\treturn write()",
		"\tw := c.group(&group)\n\tw.begin()\n\tdefer w.end()\n\terr := write()\n\tc.gen.end()\n\treturn err",
	}, "./cache", "TestFenceMovesOnFailure"},
	{"stale value served though written since", "cache/load.go", edits{
		"equal(&e.key, key) && c.unwritten(e, s) && age < e.staleEnds",
		"equal(&e.key, key) && age < e.staleEnds",
	}, "./cache", "TestStaleIfError"},
	{"stale value served for ever", "cache/load.go", edits{
		"equal(&e.key, key) && c.unwritten(e, s) && age < e.staleEnds",
		"equal(&e.key, key) && c.unwritten(e, s) && age > 0",
	}, "./cache", "TestStaleIfError"},
	{"keys compared by their first bytes", "cache/cache.go", edits{
		"return (le.Uint64(a[0:])^le.Uint64(b[0:]))|(le.Uint64(a[8:])^le.Uint64(b[8:]))|\n\t\t(le.Uint64(a[16:])^le.Uint64(b[16:]))|(le.Uint64(a[24:])^le.Uint64(b[24:])) == 0",
		"return le.Uint64(a[0:]) == le.Uint64(b[0:])",
	}, "./cache", "TestKeysAreComparedWhole"},

	// The rest of the cache.
	{"absent entries among the present ones", "cache/load.go", edits{
		"shelf = c.absent",
		"shelf = c.present",
	}, "./cache", "TestFloodOfAbsentKeysInOneStripe"},
	{"load ends with its first caller", "cache/load.go", edits{
		"c.call(context.WithoutCancel(ctx), load)",
		"c.call(ctx, load)",
	}, "./cache", "TestSingleFlight"},
	{"a load's panic not recovered", "cache/load.go", edits{
		"if p := recover(); p != nil {",
		"if p := any(nil); p != nil {",
	}, "./cache", "TestBrokenLoads"},
	{"a deaf load waited for", "cache/load.go", edits{
		"\tcase <-ctx.Done():\n\t\treturn found, fmt.Errorf(\"cache: load: %w\", ctx.Err())",
		"\tcase <-context.Background().Done():\n\t\treturn found, fmt.Errorf(\"cache: load: %w\", ctx.Err())",
	}, "./cache", "TestBrokenLoads"},
	{"loads not bounded", "cache/cache.go", edits{
		"loads: make(chan struct{}, maxLoads)",
		"loads: make(chan struct{}, 1<<20)",
	}, "./cache", "TestAtMost64LoadsAtOnce"},
	{"failures cached", "cache/load.go", edits{
		"\tif err != nil && !absent {\n\t\treturn nil, err\n\t}",
		"\tabsent = err != nil",
	}, "./cache", "TestBrokenLoads"},
	{"TTL not checked", "cache/entry.go", edits{
		"return c.unwritten(e, s) && now.Sub(c.start) < e.ends && now.UnixNano() < e.endsWall",
		"return c.unwritten(e, s)",
	}, "./cache", "TestTTL"},
	{"monotonic clock not checked", "cache/entry.go", edits{
		"return c.unwritten(e, s) && now.Sub(c.start) < e.ends && now.UnixNano() < e.endsWall",
		"return c.unwritten(e, s) && now.UnixNano() < e.endsWall",
	}, "./cache", "TestEitherClockEndsEntry"},
	{"wall clock not checked", "cache/entry.go", edits{
		"return c.unwritten(e, s) && now.Sub(c.start) < e.ends && now.UnixNano() < e.endsWall",
		"return c.unwritten(e, s) && now.Sub(c.start) < e.ends",
	}, "./cache", "TestEitherClockEndsEntry"},
	{"Until not honoured", "cache/entry.go", edits{
		"e.endsWall = until.UnixNano()",
		"_ = until",
	}, "./cache", "TestUntilEndsAnEntryEarly"},
	{"life counted from the end of the load", "cache/load.go", edits{
		"e := c.newEntry(key, epoch, began, found, absent)",
		"e := c.newEntry(key, epoch, time.Now(), found, absent)",
	}, "./cache", "TestSlowLoadCountsAgainstTTL"},
	{"TTL lengthened by the jitter", "cache/entry.go", edits{
		"return ttl - ttl/10*part/(1<<16)",
		"return ttl + ttl/10*part/(1<<16)",
	}, "./cache", "TestTTL"},
	{"Get enters after Close", "cache/gate.go", edits{
		"if g.closed.Load() {",
		"if false {",
	}, "./cache", "TestGate"},
	{"Close does not wait", "cache/gate.go", edits{
		"for g.lanes[i].inside.Load() > 0 {",
		"for g.lanes[i].inside.Load() < 0 {",
	}, "./cache", "TestCloseWaitsForLoads|TestGate"},
	{"served after Close", "cache/cache.go", edits{
		"c.stripes[i].word.begin()",
		"_ = i",
	}, "./cache", "TestNothingIsKeptAfterClose"},

	// The Manager over the cache.
	{"no fence on Create", "apikey/create.go", edits{
		"\terr = m.keys.Write(func() error {\n\t\treturn m.ask(ctx, func(ctx context.Context) error { return m.store.Insert(ctx, kept, limit) })\n\t}, cache.Key(r.Digest))",
		"\terr = m.ask(ctx, func(ctx context.Context) error { return m.store.Insert(ctx, kept, limit) })",
	}, "./apikey", "TestRegisterEndsNegativeEntry"},
	{"no fence on RevokeAll", "apikey/manage.go", edits{
		"err := m.keys.WriteGroup(func() error {",
		"err := func() error {",
		"\t}, ownerKey(owner))\n\tif err != nil {\n\t\treturn 0, m.fail(",
		"\t}()\n\tif err != nil {\n\t\treturn 0, m.fail(",
	}, "./apikey", "TestRevokedNeverValidates/RevokeAll"},
	{"no fence on Rotate's old key", "apikey/create.go", edits{
		"}, cache.Key(r.Digest), cache.Key(next.Digest))",
		"}, cache.Key(next.Digest))\n\t_ = r",
	}, "./apikey", "TestRevokedNeverValidates/Rotate"},
	{"no fence on Revoke", "apikey/manage.go", edits{
		"}, cache.Key(before.Digest))",
		"})\n\t_ = cache.Key(before.Digest)",
	}, "./apikey", "TestRevokedNeverValidates/Revoke$"},
	{"no fence on Update", "apikey/manage.go", edits{
		"\tr, err := m.write(ctx, owner, id, func(ctx context.Context) (store.Record, error) {\n\t\treturn m.store.Update(ctx, owner, id, change)\n\t})\n\tif err != nil {\n\t\treturn Key{}, err",
		"\tvar r store.Record\n\terr = m.ask(ctx, func(ctx context.Context) (err error) {\n\t\tr, err = m.store.Update(ctx, owner, id, change)\n\t\treturn err\n\t})\n\tif err != nil {\n\t\treturn Key{}, m.fail(ctx, owner, id, err)",
	}, "./apikey", "TestRevokedNeverValidates/Disable"},
	{"no fence on Update, by the histories", "apikey/manage.go", edits{
		"}, cache.Key(before.Digest))",
		"})\n\t_ = cache.Key(before.Digest)",
	}, "./apikey/proof", "TestLinearizable$"},
	{"epoch moved only after the write, by the histories", "cache/fence.go", edits{
		"func (w *word) begin() { w.Add(oneVersion + oneWriter) }",
		"func (w *word) begin() {}",
		"func (w *word) end()   { w.Add(oneVersion - oneWriter) }",
		"func (w *word) end()   { w.Add(oneVersion) }",
	}, "./apikey/proof", "TestLinearizable$"},
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
		"if b.source != e {",
		"if b.source == nil {",
	}, "./apikey/proof", "TestPlanChangesUnderCachedKey"},
	{"outage answered as unknown key", "apikey/validate.go", edits{
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*cachedKey]{}, err",
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*cachedKey]{}, cache.ErrNotFound",
	}, "./apikey", "TestBrokenStore"},
	{"record of another digest accepted", "apikey/validate.go", edits{
		`case r.Digest != d || r.ID == "" || r.Owner == "":`,
		`case r.ID == "" || r.Owner == "":`,
	}, "./apikey", "TestBrokenStore"},
	{"record without owner accepted", "apikey/validate.go", edits{
		`case r.Digest != d || r.ID == "" || r.Owner == "":`,
		`case r.Digest != d || r.ID == "":`,
	}, "./apikey", "TestBrokenStore"},
	{"garbage reaches the store", "apikey/validate.go", edits{
		"if !(m.token.wellFormed(token) && m.token.genuine(token)) && !m.token.legacy(token) {",
		"if !m.token.wellFormed(token) && !m.token.legacy(token) {",
	}, "./apikey", "TestGarbageFlood"},
	{"tag not checked", "apikey/token.go", edits{
		"if t.verify(signed, tag) {",
		"if t.verify(signed, tag) || true {",
	}, "./apikey", "TestGarbageFlood"},
	{"checksum not checked", "apikey/token.go", edits{
		"sum != string(want[:])",
		"len(sum) != len(want)",
	}, "./apikey", "TestOneSpelling"},
	{"plan's expiry not looked at", "entitlement/entitlement.go", edits{
		"return e.APIAccess && (e.ValidUntil.IsZero() || at.Before(e.ValidUntil))",
		"return e.APIAccess",
	}, "./apikey", "TestEntitlementAnswers|TestValidUntil"},
	{"provider's outage answered as not entitled", "apikey/plan.go", edits{
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*entitlement.Entitlement]{}, err",
		"\t\tcase err != nil:\n\t\t\treturn cache.Loaded[*entitlement.Entitlement]{}, cache.ErrNotFound",
	}, "./apikey", "TestEntitlementAnswers"},
	{"store's panic not recovered", "apikey/manager.go", edits{
		"if p := recover(); p != nil {",
		"if p := any(nil); p != nil {",
	}, "./apikey", "TestManagementErrorsSurface"},
	{"forged record managed", "apikey/manage.go", edits{
		"if r.Owner != owner || r.ID != id || r.Digest.IsZero() {",
		"if r.Digest.IsZero() {",
	}, "./apikey", "TestForgedManagementAnswers"},
	{"revocation not verified", "apikey/manage.go", edits{
		"if err == nil && r.RevokedAt.IsZero() {",
		"if false {",
	}, "./apikey", "TestForgedManagementAnswers"},
	{"another owner's key told apart", "apikey/manager.go", edits{
		"Owner: owner, KeyID: id})\n\t\treturn ErrNotFound",
		"Owner: owner, KeyID: id})\n\t\treturn fmt.Errorf(\"%w: another owner's\", ErrNotFound)",
	}, "./apikey", "TestForeignOwner"},
	{"last-used times lost at Close", "apikey/lastused.go", edits{
		"if err := u.flush(ctx); err != nil {",
		"if err := ctx.Err(); err != nil {",
	}, "./apikey", "TestCloseFlushesLastUsed"},

	// The middleware.
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
	}, "./apikey", "TestRefusals|TestOutageIsNoVerdict"},
	{"refused request handed on", "apikey/middleware.go", edits{
		"\t\tg.manager.WriteError(w, r, err)\n\t\treturn",
		"\t\tg.manager.WriteError(w, r, err)",
	}, "./apikey", "TestRefusals"},
	{"scopes not asked for", "apikey/middleware.go", edits{
		"if err == nil && !p.allowsAll(g.scopes) {",
		"if err == nil && !p.allowsAll(nil) {",
	}, "./apikey", "TestRouteCarrierScopeMatrix"},

	// The store in memory; what notices here notices in every other store.
	{"last use of a revoked key written", "store/memstore/update.go", edits{
		"if r != nil && r.RevokedAt.IsZero() && at.After(r.LastUsedAt) {",
		"if r != nil && at.After(r.LastUsedAt) {",
	}, "./store/memstore", "TestStore"},
	{"last use moved back", "store/memstore/update.go", edits{
		"if r != nil && r.RevokedAt.IsZero() && at.After(r.LastUsedAt) {",
		"if r != nil && r.RevokedAt.IsZero() {",
	}, "./store/memstore", "TestStore"},
	{"limit not checked", "store/memstore/insert.go", edits{
		"if limit >= 0 && s.counted(r.Owner, r.CreatedAt) >= limit {",
		"if limit >= 0 && s.counted(r.Owner, r.CreatedAt) < 0 {",
	}, "./store/memstore", "TestStore"},
	{"limit and insert in two steps", "store/memstore/insert.go", edits{
		"\tif limit >= 0 && s.counted(r.Owner, r.CreatedAt) >= limit {\n\t\treturn store.ErrLimit\n\t}",
		"\tif limit >= 0 && s.counted(r.Owner, r.CreatedAt) >= limit {\n\t\treturn store.ErrLimit\n\t}\n\ts.mu.Unlock()\n\ttime.Sleep(time.Microsecond)\n\ts.mu.Lock()",
	}, "./store/memstore", "TestStore"},
	{"oldest first", "store/memstore/list.go", edits{
		"range slices.Backward(s.before(q))",
		"range slices.All(s.before(q))",
	}, "./store/memstore", "TestStore"},
	{"later revocation overwrites the first", "store/memstore/revoke.go", edits{
		"\tif !r.RevokedAt.IsZero() {\n\t\treturn false\n\t}\n",
		"",
	}, "./store/memstore", "TestStore"},
	{"replaced key rotated again", "store/memstore/rotate.go", edits{
		`case !r.Usable(next.CreatedAt) || r.ReplacedBy != "":`,
		"case !r.Usable(next.CreatedAt):",
	}, "./store/memstore", "TestStore"},
	{"revoked key rotated", "store/memstore/rotate.go", edits{
		`case !r.Usable(next.CreatedAt) || r.ReplacedBy != "":`,
		`case r.ReplacedBy != "":`,
	}, "./store/memstore", "TestStore"},
	{"rotation lengthens a life", "store/memstore/rotate.go", edits{
		"} else if old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt) {",
		"} else {",
	}, "./store/memstore", "TestStore"},
	{"revoked key changed", "store/memstore/update.go", edits{
		"if !r.RevokedAt.IsZero() || c.ExpiresAt != nil && ended {",
		"if c.ExpiresAt != nil && ended {",
	}, "./store/memstore", "TestStore"},
	{"another owner's key found", "store/memstore/memstore.go", edits{
		"case r.Owner != owner:",
		"case r.Owner == \"\":",
	}, "./store/memstore", "TestStore"},
	{"record shared with the caller", "store/memstore/list.go", edits{
		"\treturn r.Clone(), nil\n}\n\n// Get implements",
		"\treturn *r, nil\n}\n\n// Get implements",
	}, "./store/memstore", "TestStore"},
}
