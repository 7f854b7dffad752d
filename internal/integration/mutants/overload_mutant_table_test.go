package mutants_test

// What overload and a slow store must not do.
var overloadMutants = []mutant{
	{"a kept value closes the breaker", "cache/load.go", edits{
		"case err == nil && found.kept:", "case err != nil && found.kept:",
	}, "./cache", "TestKeptValueClosesNoBreaker"},
	{"stale values outlive their end", "cache/entry.go", edits{
		" && now.UnixNano() < e.untilWall", "",
	}, "./cache", "TestNothingStaleAfterUntil"},
	{"a round trip for each call of the shared cache", "cache/rediscache/pipeline.go", edits{
		"n := min(len(p.waiting), maxTogether)",
		"n := min(len(p.waiting), maxTogether/maxTogether)",
	}, "./cache/rediscache", "TestConcurrentCallsGoTogether"},
	{"a shared cache asked where it does not pay", "cache/shared.go", edits{
		"return b.spent <= rareLookups",
		"return b.spent > 0",
	}, "./apikey", "TestSharedIsUsedIfItHits"},
	{"a shared cache not asked any more", "cache/shared.go", edits{
		"if hit {",
		"if hit && b.asked < 0 {",
	}, "./apikey", "TestSharedIsUsedIfItHits"},
	{"an old entry left in the shared cache by those who renew it", "cache/shared.go", edits{
		"s.delete(ctx, key) == nil {",
		"key == (Key{}) {",
	}, "./apikey", "TestRenewalsUseShared"},
	{"overload reported as a failure of the store", "apikey/ask.go", edits{
		"return errors.Is(err, errOverloaded) || err == cache.ErrOverloaded",
		"return errors.Is(err, errOverloaded) && err != cache.ErrOverloaded",
	}, "./apikey", "TestFlood/in_process"},
	{"overload counted as a failure", "cache/load.go", edits{
		"\tif err != nil {\n\t\tc.land(f, nil, err)",
		"\tif err != nil {\n\t\tc.breaker.Record(*key, f.began, err)\n\t\tc.land(f, nil, err)",
	}, "./cache", "TestOverloadIsNoFailure"},
	{"stale served on overload", "cache/load.go", edits{
		"case f.err == ErrOverloaded:",
		"case f.err == ErrMiss:",
	}, "./cache", "TestLoadThatAsksNothing"},
	{"stale served to those who wait for their turn", "cache/load.go", edits{
		"case c.slow.Load() > 0 ||",
		"case c.slow.Load() >= 0 ||",
	}, "./cache", "TestOverloadServesNothingStale"},
	{"no places for known keys", "cache/cache.go", edits{
		"guard.NewPlaces(maxStrangers, maxWaiting)",
		"guard.NewPlaces(maxLoads, 1<<30)",
	}, "./cache", "TestKnownKeysHavePlacesOfTheirOwn"},
	{"a key whose value has ended is not known", "cache/load.go", edits{
		"go c.fly(f, known != nil && !known.ended, nil, load)",
		"go c.fly(f, false, nil, load)",
	}, "./cache", "TestKnownKeysHavePlacesOfTheirOwn"},
	{"an ended key takes the place of a known one", "cache/load.go", edits{
		"known != nil && !known.ended",
		"known != nil",
	}, "./cache", "TestEndedKeysAreNotKnown"},
	{"an ended key renewed ahead", "cache/entry.go", edits{
		"if e.ends == e.began+ttl && !e.ended {",
		"if e.ends == e.began+ttl {",
	}, "./cache", "TestEndedKeysAreNotKnown"},
	{"a revoked key counts as known", "apikey/validate.go", edits{
		"Ended: k.refusal(time.Now()) != nil",
		"Ended: false",
	}, "./apikey", "TestEndedKeysTakeNoPlaces"},
	{"the clock of a load started in the queue", "cache/load.go", edits{
		"guard.Call(f.ctx, c.opts.LoadTimeout, func() {",
		"guard.Call(f.ctx, c.opts.LoadTimeout-time.Since(f.began), func() {",
	}, "./cache", "TestLoadTimeoutStartsWithThePlace"},
	{"a busy store treated as an outage", "apikey/validate.go", edits{
		"case errors.Is(err, store.ErrBusy):",
		"case errors.Is(err, store.ErrBusy) && err == nil:",
	}, "./apikey", "TestBusyStoreIsNoOutage"},
	{"a busy store not heard any more", "apikey/validate.go", edits{
		"m.store.Lookup(lookup, d)",
		"m.store.Lookup(context.WithoutCancel(lookup), d)",
	}, "./apikey", "TestBusyStoreIsNoOutage"},
	{"a management call given up before a busy store can say so", "apikey/lane.go", edits{
		"timeout-timeout/50",
		"timeout+timeout/50",
	}, "./apikey", "TestBusyStoreIsNoOutage"},
	{"a load that asks nothing has failed", "cache/load.go", edits{
		"case err == ErrOverloaded: // the",
		"case err == ErrMiss: // the",
	}, "./cache", "TestLoadThatAsksNothing"},
	{"a load that asks nothing in an outage is an overload", "cache/load.go", edits{
		"c.breaker.Release()\n\t\treturn nil, c.noPlace()",
		"c.breaker.Release()\n\t\treturn nil, ErrOverloaded",
	}, "./cache", "TestLoadThatAsksNothing"},
	{"a busy pool treated as an outage", "store/pgstore/connector.go", edits{
		"stat.AcquireCount() > before",
		"stat.AcquireCount() < before",
	}, "./store/pgstore", "TestBusyPoolIsNoOutage"},
	{"an outage treated as a busy pool", "store/pgstore/connector.go", edits{
		"stat.AcquireCount() > before",
		"stat.AcquireCount() >= before",
	}, "./store/pgstore", "TestNoMoreThanMaxConns"},
	{"a busy server treated as an outage", "store/pgstore/pgstore.go", edits{
		"s.found.Load() > before",
		"s.found.Load() < before",
	}, "./store/pgstore", "TestLookupsBesideLookups"},
	{"a server that hangs treated as a busy one", "store/pgstore/pgstore.go", edits{
		"s.found.Load() > before",
		"s.found.Load() >= before",
	}, "./store/pgstore", "TestLookupsBesideLookups"},
	{"SQL: a busy pool treated as an outage", "store/sqlstore/pool.go", edits{
		"p.served.Load() > served",
		"p.served.Load() < served",
	}, "./internal/integration/databases", "TestBusyPoolIsNoOutage"},
	{"SQL: an outage treated as a busy pool", "store/sqlstore/pool.go", edits{
		"p.served.Load() > served",
		"p.served.Load() >= served",
	}, "./internal/integration/databases", "TestHangingServerIsAnOutage"},
	{"SQL: a server that cannot be reached treated as a busy pool", "store/sqlstore/pool.go", edits{
		"p.served.Load() > served",
		"p.served.Load() >= served",
	}, "./internal/integration/databases", "TestUnreachableServerIsAnOutage"},
	{"SQL: a slow statement treated as a busy pool", "store/sqlstore/pool.go", edits{
		"case c.connected:",
		"case c.connected && c.pool == nil:",
	}, "./internal/integration/databases", "TestSlowStatementIsAnOutage"},
	{"SQLite: busy writers treated as an outage", "store/sqlstore/pool.go", edits{
		"p.served.Load() > served",
		"p.served.Load() < served",
	}, "./store/sqlitestore", "TestWritersBesideWriters"},
	{"SQLite: writers that another process keeps waiting treated as busy ones", "store/sqlstore/pool.go", edits{
		"p.served.Load() > served",
		"p.served.Load() >= served",
	}, "./store/sqlitestore", "TestWritersBesideWriters"},
	{"remotestore: a busy service treated as an outage", "store/remotestore/protocol.go", edits{
		"return sentinel == store.ErrBusy || slices",
		"return slices",
	}, "./store/remotestore", "TestBusyService"},
	{"remotestore: a service that is busy until the client has gone", "internal/httpclient/httpclient.go", edits{
		"(left-left/20).Milliseconds()",
		"(left+left/20).Milliseconds()",
	}, "./store/remotestore", "TestBusyService"},
	{"remotestore: a gateway's 503 treated as a busy service", "store/remotestore/remotestore.go", edits{
		"\t\tif ours { // the response",
		"\t\tif !ours || ours { // the response",
	}, "./store/remotestore", "TestPoisonedAnswers"},
	{"remotestore: uses that are written in part were not", "store/remotestore/touch.go", edits{
		"case written && errors.Is",
		"case !written && errors.Is",
	}, "./store/remotestore", "TestTouchIsCutInOrder"},
	{"no places for unknown keys", "cache/load.go", edits{
		"release = c.strangers.Release\n",
		"release = c.known.Release\n",
		"err = c.strangers.Acquire(",
		"err = c.known.Acquire(",
	}, "./cache", "TestUnknownKeysHavePlacesOfTheirOwn"},
	{"a short queue of known keys", "cache/load.go", edits{
		"c.known.AcquireWhile(f.ctx, c.opts.LoadTimeout, func() time.Duration { return min(c.untilStuck(), time.Until(ends)) })",
		"c.known.Acquire(f.ctx, time.Until(ends))",
	}, "./cache", "TestAllKnownKeysWait"},
	{"known keys wait for ever", "cache/load.go", edits{
		"return min(c.untilStuck(), time.Until(ends))",
		"return min(c.untilStuck(), time.Until(ends)+time.Hour)",
	}, "./cache", "TestKnownKeysDoNotWaitForEver"},
	{"known keys that waited too long treated as an outage", "cache/load.go", edits{
		"case known && err == guard.ErrBusy && c.untilStuck() <= 0:",
		"case known && err == guard.ErrBusy:",
	}, "./cache", "TestKnownKeysDoNotWaitForEver"},
	{"a short wait of known keys", "cache/load.go", edits{
		"\tif !found.kept {\n",
		"\tif false {\n",
	}, "./cache", "TestAllKnownKeysWait"},
	{"known keys that wait for a source that hangs in vain treated as an overload", "cache/load.go", edits{
		"case known && err == guard.ErrBusy && c.untilStuck() <= 0:",
		"case false:",
	}, "./cache", "TestKnownKeysDoNotWaitForASourceThatHangs"},
	{"known keys wait for a source that hangs", "cache/load.go", edits{
		"return c.opts.LoadTimeout - (time.Since(c.start) - time.Duration(c.served.Load()))",
		"return c.opts.LoadTimeout",
	}, "./cache", "TestKnownKeysDoNotWaitForASourceThatHangs"},
	{"who waits for a place loses it to later ones", "internal/guard/places.go", edits{
		"} else if waiting.Err() == nil {",
		"} else if waiting.Err() != nil {",
	}, "./internal/guard", "TestPlacesWaitWhile"},
	{"any number of callers of one load", "cache/flight.go", edits{
		"if f.callers >= maxWaiting && !f",
		"if f.callers < 0 && !f",
	}, "./cache", "TestCallersOfOneLoadAreBounded"},
	{"the trial claimed after the queue", "cache/load.go", edits{
		"trial := !c.breaker.Closed()",
		"trial := c.breaker == nil",
	}, "./cache", "TestHungCallsAreAnOutage"},
	{"calls that hang treated as an overload", "cache/load.go", edits{
		"c.hung.Load() >= maxLoads/2",
		"c.hung.Load() < 0",
	}, "./cache", "TestHungCallsAreAnOutage"},
	{"calls that hang beside an open circuit breaker treated as an overload", "cache/load.go", edits{
		"\t\treturn nil, errHung\n\t}\n\treturn nil, c.noPlace()",
		"\t\treturn nil, ErrOverloaded\n\t}\n\treturn nil, ErrOverloaded",
	}, "./cache", "TestHungCallsOfUnknownKeysAreAnOutage"},
	{"an abandoned load not dropped", "cache/flight.go", edits{
		"f.callers == 0 && f.started.IsZero()",
		"f.callers < 0",
		"return f.callers > 0",
		"return true",
	}, "./cache", "TestAbandonedLoadIsDropped"},
	{"a load dropped with its first caller", "cache/flight.go", edits{
		"if f.callers--; f.callers == 0 && f.started.IsZero() {",
		"if f.callers--; f.started.IsZero() {",
	}, "./cache", "TestLoadOutlivesItsFirstCaller"},
	{"a load begun for a caller who has hung up", "cache/load.go", edits{
		"\tif ctx.Err() != nil {\n\t\treturn v, false, gaveUp(ctx)\n\t}\n",
		"",
	}, "./cache", "TestNoLoadForWhoHasHungUp"},
	{"no renewal ahead", "cache/entry.go", edits{
		"e.dueAfter(e.began+ttl-ttl/5, time.Since(c.start))",
		"_ = ttl",
	}, "./cache", "TestRenewal$"},
	{"every caller renews", "cache/entry.go", edits{
		"return e.due.CompareAndSwap(due, int64(next))",
		"return next > 0",
	}, "./cache", "TestRenewalThatFails"},
	{"a renewal outside the fence", "cache/load.go", edits{
		"\tif err == nil {\n\t\tc.fill(",
		"\tif err == nil && renewed != nil {\n\t\te.epoch = c.epochOf(key).Load()\n\t}\n\tif err == nil {\n\t\tc.fill(",
	}, "./cache", "TestFenceRenewalBegunBeforeWrite"},
	{"renewals take all places", "cache/cache.go", edits{
		"guard.NewPlaces(maxRenewals, maxWaiting)",
		"guard.NewPlaces(maxLoads, 1<<30)",
	}, "./cache", "TestRenewalsLeavePlaces"},
	{"no more places for renewals of what ends soon", "cache/load.go", edits{
		"places = c.lateRenewals\n",
		"places = c.renewals\n",
	}, "./cache", "TestRenewalsOfManyKeys"},
	{"late renewals take all places", "cache/cache.go", edits{
		"guard.NewPlaces(maxLate, maxWaiting)",
		"guard.NewPlaces(maxLoads, 1<<30)",
	}, "./cache", "TestLateRenewalsLeavePlaces"},
	{"an old value renewed over and over", "cache/entry.go", edits{
		"min(max(at, now+(e.ends-e.began)/20), e.ends)",
		"min(at, e.ends)",
	}, "./cache", "TestOldValueIsNotRenewedOverAndOver"},
	{"what a renewal finds to be gone served until its end", "cache/load.go", edits{
		"(e.absent || c.opts.StaleIfError > 0)",
		"c.opts.StaleIfError > 0",
	}, "./cache", "TestRenewalFindsNothing"},
	{"a slow load waited for though StaleIfError allows what is known", "cache/cache.go", edits{
		"patience = 50 * time.Millisecond",
		"patience = 50 * time.Second",
	}, "./cache", "TestSlowLoadServesStale"},
	{"what is doubted served because the source is slow", "cache/entry.go", edits{
		"c.isCurrent(e) && c.mayBeStale",
		"c.mayBeStale",
	}, "./cache", "TestSlowLoadIsWaitedFor"},
	{"a queue without bound", "internal/guard/places.go", edits{
		"if p.waiting.Add(1) > p.queue {",
		"if p.waiting.Add(1) < 0 {",
	}, "./internal/guard", "TestPlaces$"},
	{"a place waited for without bound", "internal/guard/places.go", edits{
		"waiting, cancel := context.WithTimeout(ctx, wait)",
		"waiting, cancel := context.WithCancel(ctx)",
	}, "./internal/guard", "TestPlacesWait"},
	{"a refused write logged as a failure of the store", "apikey/ask.go", edits{
		"\t\tif err == bound.ErrBusy {\n",
		"\t\tif false {\n",
	}, "./apikey", "TestRefusedWritesAreNoOutage"},
	{"a place given back before the call has returned", "internal/guard/call.go", edits{
		"\t\tdone()\n\t\treturned <-",
		"\t\treturned <-",
		"\treturned := make(chan result, 1)\n",
		"\treturned := make(chan result, 1)\n\tdefer done()\n",
	}, "./internal/guard", "TestCallKeepsItsPlace"},
}
