package mutants_test

// What can go wrong between instances, and while the store fails.
var instanceMutants = []mutant{
	// What is marked stale.
	{"no doubt on a new connection", "cache/group.go", edits{
		"g.markStale() // messages from before are lost",
		"_ = g.markStale",
	}, "./cache", "TestGroupNewConnection"},
	{"no doubt when the connection is lost", "cache/group.go", edits{
		"\t\t\t\tc.disconnect(aloneTTL)\n",
		"\t\t\t\t_ = c\n",
	}, "./cache", "TestGroupDoubts$"},
	{"being alone ends nothing", "cache/lease.go", edits{
		"\tc.MarkStale()\n\tc.lease.forEver()",
		"\tc.lease.forEver()",
	}, "./cache", "TestDisconnect"},
	{"no gap noticed", "cache/peer.go", edits{
		"missed = m.before() != last.change",
		"missed = last.change == 1<<63",
	}, "./cache", "TestGroupDoubts$"},
	{"no gap noticed of a new instance", "cache/peer.go", edits{
		"missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)",
		"missed = false",
	}, "./cache", "TestGroupDoubts$"},
	{"no doubt about what cannot be read", "cache/group.go", edits{
		"g.missed(time.Now())",
		"_ = m",
	}, "./cache", "TestGroupStrangers"},
	{"a doubt about each message that cannot be read", "cache/group.go", edits{
		"g.missed(time.Now())",
		"g.markStale()",
	}, "./cache", "TestGroupStrangers"},
	{"a doubt about each old message", "cache/group.go", edits{
		"if g.peers.hear(m, now) {\n\t\tg.missed(now)",
		"if g.peers.hear(m, now) {\n\t\tg.markStale()",
	}, "./cache", "TestGroupOldMessages"},
	{"a doubt each time an instance falls silent", "cache/group.go", edits{
		"g.peers.stranger(time.Now()) // or a peer",
		"// or a peer",
	}, "./cache", "TestGroupOldMessages"},
	{"a forged interval trusted", "cache/peer.go", edits{
		"m.size, m.next = 0, min(m.next, p.every())",
		"m.size = 0",
	}, "./cache", "TestGroupForgedFleet"},
	{"a forged number of instances trusted", "cache/peer.go", edits{
		"m.size, m.next = 0, min(m.next, p.every())",
		"m.next = min(m.next, p.every())",
	}, "./cache", "TestGroupForgedFleet"},
	{"quiet for as long as a fleet that has shrunk allowed", "cache/sender.go", edits{
		"if s.due.After(now.Add(every)) {",
		"if s.due.After(now.Add(every)) && every == 0 {",
	}, "./cache", "TestGroupForgedFleet"},
	{"a failure to publish not owned up to", "cache/sender.go", edits{
		"m.change, m.all = s.change, s.failed",
		"m.change = s.change",
	}, "./cache", "TestGroupOwnsUpToFailures"},
	{"what could not be told never told", "cache/sender.go", edits{
		"\t\tg.sendUntold(ctx)\n",
		"",
	}, "./cache", "TestGroupOwnsUpToFailures"},
	{"doubts end what an outage needs", "cache/fence.go", edits{
		"return (epoch^now)&^staleMarks != 0",
		"return epoch != now",
	}, "./cache", "TestStaleMarksLeaveValuesForOutages"},
	{"told, and not forgotten", "cache/group.go", edits{
		"c.invalidate(m.keys, m.groups)",
		"_ = c",
	}, "./cache", "TestGroupForgets"},
	{"instances remembered without bound", "cache/peer.go", edits{
		"case !known && len(p.known) >= maxPeers:",
		"case len(p.known) < 0:",
	}, "./cache", "TestGroupFloodOfOrigins"},

	// The lease.
	{"an echo trusted by what it says", "cache/group.go", edits{
		"sent, ok := g.sender.when(m.beat)",
		"sent, ok := time.Now(), true",
	}, "./cache", "TestGroupForgery"},
	{"beats that can be guessed", "cache/message.go", edits{
		"func newBeat() (b beat) {\n\trand.Read(b[:])\n",
		"func newBeat() (b beat) {\n\trand.Read(b[:0])\n",
	}, "./cache", "TestGroupForgery"},
	{"lease counted from the echo", "cache/group.go", edits{
		"until := sent.Add(silence)",
		"until := sent.Add(time.Since(sent) + silence)",
	}, "./cache", "TestLeaseCountsFromTheSending"},
	{"the last beats alone remembered", "cache/sender.go", edits{
		"if n > 0 && now.Sub(s.beats[n-1].at) < silence/maxBeats {",
		"if n < 0 {",
	}, "./cache", "TestGroupHearsOfItselfWhileBusy"},
	{"lease ends by the wall clock alone", "cache/lease.go", edits{
		"return int64(elapsed) < l.ends.Load() && wall < l.endsWall.Load()",
		"return wall < l.endsWall.Load()",
	}, "./cache", "TestLeaseEndsByEitherClock"},
	{"lease ends by the monotonic clock alone", "cache/lease.go", edits{
		"return int64(elapsed) < l.ends.Load() && wall < l.endsWall.Load()",
		"return int64(elapsed) < l.ends.Load()",
	}, "./cache", "TestLeaseEndsByEitherClock"},
	{"served though the lease has ended", "cache/entry.go", edits{
		"return c.lease.lasts(elapsed, wall) && c.isCurrent(e)",
		"return c.isCurrent(e)",
	}, "./cache", "TestLeaseEndsByEitherClock"},
	{"load joined from before the lease ended", "cache/load.go", edits{
		"!leads && !(leased && quiet(id.epoch) && same)",
		"!leads && !(leased || quiet(id.epoch) && same)",
	}, "./cache", "TestLoadFromBeforeLeaseEnded"},
	{"lease looked at when the load has landed", "cache/load.go", edits{
		"leased, id := c.holdsLease(), c.flightID(key)",
		"id := c.flightID(key)",
		"!leads && !(leased && quiet(id.epoch) && same)",
		"!leads && !(c.holdsLease() && quiet(id.epoch) && same)",
	}, "./cache", "TestLoadFromBeforeLeaseEnded"},
	{"silence not noticed", "cache/link.go", edits{
		"case <-time.After(time.Until(ends)):",
		"case <-time.After(time.Hour + time.Until(ends)):",
	}, "./cache", "TestGroupSilence"},
	{"entries live on without a bus", "cache/lease.go", edits{
		"return min(ttl, longest)",
		"return max(ttl, longest)",
	}, "./cache", "TestDisconnect"},

	// Many instances, and what is forged.
	{"a farewell trusted that anyone can say", "cache/group.go", edits{
		"if m.bye && len(g.key) == 0 {",
		"if m.bye && len(g.key) == 1<<20 {",
	}, "./cache", "TestForgeLoseRepeat"},
	{"a repeated message treated as a sign of life", "cache/peer.go", edits{
		"case known && m.seq <= last.seq:",
		"case known && m.seq < last.seq:",
	}, "./cache", "TestForgeLoseRepeat"},
	{"messages not authenticated", "cache/group.go", edits{
		"g.key = b.MACKey()",
		"_ = b.MACKey()",
	}, "./cache", "TestForgeLoseRepeat|TestGroupStrangers"},
	{"messages to all every second", "cache/peer.go", edits{
		"return max(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet)/presences)",
		"return min(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet+presences)/presences)",
	}, "./cache", "TestFleetTraffic"},
	{"echoes to all", "cache/sender.go", edits{
		"_ = g.sendMessage(ctx, message{}, l.echo)",
		"_ = g.sendMessage(ctx, message{}, g.bus.Publish)",
	}, "./cache", "TestFleetTraffic"},
	{"an echo of another instance trusted", "cache/group.go", edits{
		"case m.origin == g.origin:",
		"case m.origin == g.origin || !m.changes():",
		"sent, ok := g.sender.when(m.beat)",
		"sent, ok := time.Now(), true",
	}, "./cache", "TestGroupForgery"},
	{"a cliff when there are more instances than can be distinguished", "cache/peer.go", edits{
		"\t\tp.stranger(now)\n\t\treturn m.all\n",
		"\t\tclear(p.known)\n\t\treturn true\n",
	}, "./cache", "TestManyPeersAreNoCliff"},
	{"a lost change noticed late", "cache/sender.go", edits{
		"s.due = now.Add(heartbeat) // by then, who has lost this one must know",
		"_ = now",
	}, "./cache", "TestFleetNoticesLostChange"},
	{"peers forgotten with a connection", "cache/peer.go", edits{
		"\tp.ready = now\n",
		"\tp.ready = now\n\tclear(p.known)\n",
	}, "./cache", "TestGroupReconnectsToTheOtherHalf"},
	{"a mark not told", "cache/sender.go", edits{
		"uint32(g.peers.size), g.ownMark()",
		"uint32(g.peers.size), 0*g.ownMark()",
	}, "./cache", "TestGroupMarks"},

	// The connection.
	{"an attempt waits for the one before", "cache/link.go", edits{
		"g.links.Load() < maxLinks",
		"g.links.Load() < 1",
	}, "./cache", "TestGroupReconnects"},
	{"attempts without a pause", "cache/link.go", edits{
		"next = time.Now().Add(retryPause*3/4 + guard.Jitter(retryPause/2))",
		"next = time.Now().Add(0 * guard.Jitter(retryPause))",
	}, "./cache", "TestGroupReconnects"},
	{"attempts without an end", "cache/link.go", edits{
		"late := time.AfterFunc(readyTime, cancel)",
		"late := time.AfterFunc(time.Hour, cancel)",
	}, "./cache", "TestGroupReconnects"},
	{"Close does not wait for Receive", "cache/link.go", edits{
		"g.running.Go(func() { g.attempt(ctx) })",
		"go g.attempt(ctx)",
	}, "./cache", "TestGroupClose$"},
	{"an exit of Receive leaves its place taken", "cache/link.go", edits{
		"err := guard.Run(func() error {",
		"run := func(call func() error) error { return call() }\n\terr := run(func() error {",
	}, "./cache", "TestBrokenBus"},
	{"a Publish that hangs waited for", "cache/sender.go", edits{
		"\tcase <-ctx.Done():\n\t\treturn fmt.Errorf(\"cache: publish: %w\", ctx.Err())\n\t}\n}\n\n// add has",
		"\tcase <-context.Background().Done():\n\t\treturn ctx.Err()\n\t}\n}\n\n// add has",
	}, "./cache", "TestGroupPublishErrors"},

	// Messages.
	{"MAC of messages ignored", "cache/message.go", edits{
		"if !hmac.Equal(sum, mac(key, b)) || b[0] != messageVersion {",
		"if len(sum) == 0 || b[0] != messageVersion {",
	}, "./cache", "TestForgedMessages"},
	{"line breaks in messages passed over", "cache/message.go", edits{
		"strings.ContainsAny(text, \"\\r\\n\")",
		"strings.ContainsAny(text, \"\\x00\")",
	}, "./cache", "TestDamagedMessages"},
	{"names in a message not bounded", "cache/message.go", edits{
		"if keys+groups > maxNames || len(names)",
		"if len(names)",
	}, "./cache", "TestForgedMessageLayouts"},

	// While the store fails.
	{"the circuit breaker never opens", "internal/guard/breaker.go", edits{
		"if len(b.failed) == failures && !slices",
		"if len(b.failed) > failures && !slices",
	}, "./cache", "TestBreakerOpens"},
	{"the circuit breaker opens for one key", "internal/guard/breaker.go", edits{
		"if i := b.find(key); i >= 0 {",
		"if i := b.find(key); i > failures {",
	}, "./cache", "TestBreakerOpens"},
	{"the circuit breaker opens for fast failures", "internal/guard/breaker.go", edits{
		"b.fail(key, time.Since(began) >= b.slow)",
		"b.fail(key, true)",
	}, "./cache", "TestBreakerOpens"},
	{"the circuit breaker opens though others succeed", "internal/guard/breaker.go", edits{
		"if b.success.After(began) {",
		"if b.success.After(time.Now()) {",
	}, "./cache", "TestBadKeysHoldNobodyBack"},
	{"fast failures keep slow ones out", "internal/guard/breaker.go", edits{
		"slow && i >= 0 {",
		"slow && i > failures {",
	}, "./cache", "TestBreakerOpens"},
	{"keys that have failed try first", "internal/guard/breaker.go", edits{
		" && (now >= time.Duration(next)+pause || !b.hasFailed(key))",
		"",
	}, "./cache", "TestBreaker$"},
	{"many trials at once", "internal/guard/breaker.go", edits{
		"b.due(key, next, now) && b.next.CompareAndSwap(next, int64(now+pause))",
		"b.due(key, next, now)",
	}, "./cache", "TestBreakerTriesOneLoad"},
	{"a trial that was not made holds others back", "internal/guard/breaker.go", edits{
		"b.next.CompareAndSwap(next, int64(time.Since(b.start)))",
		"_ = next",
	}, "./internal/guard", "TestBreakerRelease"},
	{"no spreading after an outage", "cache/entry.go", edits{
		"\t\tc.putOff(e, now)\n",
		"",
	}, "./cache", "TestPutOff"},
	{"all loaded at once after an outage", "cache/entry.go", edits{
		"pause = pause/2 + guard.Jitter(pause/2+1)",
		"pause = pause/2 + 0*guard.Jitter(pause/2+1)",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage"},
	{"put off for longer than a TTL", "cache/entry.go", edits{
		"min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)",
		"max(age-(e.ends-e.began), time.Second)",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage"},
	{"put off for a TTL after each failure", "cache/entry.go", edits{
		"min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)",
		"c.opts.TTL",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage|TestOutagesInARow"},
	{"put off though another instance is silent", "cache/entry.go", edits{
		"!c.lease.limited() && ",
		"",
	}, "./cache", "TestPutOff"},
	{"silence of others not noticed", "cache/peer.go", edits{
		"silent = silent || !now.Before(k.due)",
		"silent = silent || now.After(k.gone)",
	}, "./cache", "TestGroupSilentPeer"},
	{"an instance said farewell and is missed", "cache/peer.go", edits{
		"case !k.left:",
		"default:",
	}, "./cache", "TestGroupPeerThatIsGone"},
	{"everything doubted once for each instance", "cache/peer.go", edits{
		"missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)",
		"missed = m.before() != 0",
	}, "./cache", "TestGroupReconnectsToMany"},
	{"a bus that never comes up not reported", "cache/group.go", edits{
		"g.tell(why) // it has never been up",
		"_ = why",
	}, "./cache", "TestGroupNeverUp"},
	{"put off although doubted", "cache/entry.go", edits{
		"c.isCurrent(e) && c.mayBeStale",
		"c.mayBeStale",
	}, "./cache", "TestPutOff"},
	{"put off although not trusted", "cache/entry.go", edits{
		"c.lease.lasts(now.Sub(c.start), now.UnixNano()) && ",
		"",
	}, "./cache", "TestPutOff"},
	{"put off past StaleIfError", "cache/entry.go", edits{
		"c.isCurrent(e) && c.mayBeStale(e, now)",
		"c.isCurrent(e)",
	}, "./cache", "TestPutOff"},
	{"age ignored", "cache/entry.go", edits{
		"began = began.Add(-min(max(found.Age, 0), MaxDuration))",
		"_ = found.Age",
	}, "./cache", "TestAgeShortensLife"},

	// What a change tells.
	{"others not told", "cache/fence.go", edits{
		"unsent := c.group.publish(ctx, keys, groups)",
		"unsent := c.group.publish(ctx, nil, nil)",
	}, "./apikey", "TestChangesReachOtherInstances"},
	{"that others were not told hidden", "apikey/change.go", edits{
		"if unpropagated == nil {",
		"if unpropagated == nil || ctx != nil {",
	}, "./apikey", "TestNotPropagated"},
	{"a verdict in a bus's error", "cache/sender.go", edits{
		"guard.Classify(send(ctx, text))",
		"send(ctx, text)",
	}, "./apikey", "TestNotPropagated"},
	{"a verdict in a store's error", "internal/guard/call.go", edits{
		"\tc := &classified{text: err.Error()}\n",
		"\tc := &classified{text: err.Error(), known: err}\n",
	}, "./apikey", "TestBrokenStore"},
	{"not told when the store failed", "apikey/change.go", edits{
		"return !unchanged(err), err",
		"return err == nil, err",
	}, "./apikey", "TestUncertainChangesArePublished"},
	{"told of what was refused", "apikey/change.go", edits{
		"return !unchanged(err), err",
		"return true, err",
	}, "./apikey", "TestUncertainChangesArePublished"},
	{"not told when RevokeAll failed", "apikey/revokeall.go", edits{
		"return err != nil || len(done.value) < store.RevokeBatch, err",
		"return err == nil && len(done.value) < store.RevokeBatch, err",
	}, "./apikey", "TestUncertainChangesArePublished"},
	{"registered, and others not told", "apikey/create.go", edits{
		"\tif kind == EventCreated {",
		"\tif kind != \"\" {",
	}, "./apikey", "TestRegisterReachesOtherInstances"},

	// The shared cache.
	{"shared cache not deleted from", "cache/shared.go", edits{
		"return answer{}, s.server.Delete(ctx, keys...)",
		"return answer{}, nil",
	}, "./apikey", "TestSharedIsDeleted|TestSharedIsNotFilled"},
	{"shared cache deleted from outside the fence", "cache/fence.go", edits{
		"\tundeleted := c.shared.forget(ctx, keys, groups)",
		"\tundeleted := error(nil)",
		"\tunsent := c.group",
		"\tif c.shared != nil {\n\t\tundeleted = c.shared.delete(ctx, keys...)\n\t\tc.shared.distrust(keys, groups)\n\t}\n\tunsent := c.group",
	}, "./apikey", "TestSharedIsDeletedWithinFence"},
	{"shared cache not deleted from when the store failed", "cache/fence.go", edits{
		"tell := true\n",
		"tell := false\n",
	}, "./apikey", "TestSharedIsDeletedAfterUncertainWrite"},
	{"shared cache keeps an owner's keys", "apikey/revokeall.go", edits{
		"err = a.forgetAll(ctx)",
		"err = nil",
	}, "./apikey", "TestRevokeAllAgainDeletesAll"},
	{"ended keys listed by each RevokeAll", "apikey/revokeall.go", edits{
		"err != nil || first && a.undeleted.has(a.owner)",
		"err != nil || first",
	}, "./apikey", "TestRevokeAllListsNoEndedKeys"},
	{"shared cache trusted after a failed delete", "cache/shared.go", edits{
		"return int64(time.Since(s.cache.start)) < s.distrustOf(&key).Load()",
		"return false",
	}, "./apikey", "TestSharedCannotDelete"},
	{"shared cache trusted again too soon", "cache/shared.go", edits{
		"until := int64(time.Since(s.cache.start) + s.cache.opts.TTL + MaxLease)",
		"until := int64(time.Since(s.cache.start) + MaxLease)",
	}, "./apikey", "TestSharedCannotDelete"},
	{"shared cache trusted by others after a failed delete", "cache/fence.go", edits{
		"c.shared.distrust(keys, groups)",
		"_ = c.shared",
	}, "./apikey", "TestSharedCannotDelete/fails"},
	{"shared cache trusted by others after RevokeAll", "cache/fence.go", edits{
		"c.shared.distrust(keys, groups)",
		"c.shared.distrust(keys, nil)",
	}, "./apikey", "TestSharedCannotDelete/fails"},
	{"shared cache trusted of an owner whose keys were revoked", "cache/shared.go", edits{
		"!ok || s.isDistrusted(found.Group) {",
		"!ok {",
	}, "./apikey", "TestSharedCannotDelete/fails"},
	{"shared cache asked while the bus is down", "cache/shared.go", edits{
		"s.cache.group != nil && !s.cache.group.Healthy() ||",
		"",
	}, "./apikey", "TestSharedIsNotUsedWithoutBus"},
	{"age of the shared cache's items ignored", "cache/shared.go", edits{
		"found.Age, found.kept = item.Age, true",
		"found.kept = true",
	}, "./apikey", "TestSharedEntriesKeepTheirAge"},
	{"a record of another key in the shared cache trusted", "apikey/record.go", edits{
		"if err != nil || !isRecordOf(r, store.Digest(key)) ||",
		"if err != nil ||",
	}, "./apikey", "TestBrokenShared"},
	{"a shared cache that hangs waited for", "cache/shared.go", edits{
		"return guard.Call(ctx, s.timeout, s.places.Release, func(ctx context.Context) (answer, error) {\n\t\tgot, err := call(ctx)\n\t\treturn got, guard.Classify(err, ErrMiss)\n\t})",
		"defer s.places.Release()\n\tgot, err := call(ctx)\n\treturn got, guard.Classify(err, ErrMiss)",
	}, "./apikey", "TestBrokenShared/(panics|hangs|exits)"},
	{"0 microseconds treated as never", "internal/recordjson/recordjson.go", edits{
		"if t.IsZero() {\n",
		"if t.IsZero() || t.UnixMicro() == 0 {\n",
	}, "./apikey", "TestTimesInShared"},
	{"a time that means never trusted", "internal/recordjson/recordjson.go", edits{
		"if t.IsZero() || !t.isPossible() {",
		"if !t.isPossible() {",
	}, "./internal/recordjson", "TestTime"},
	{"a record with a time close to never is written", "internal/recordjson/recordjson.go", edits{
		"(TimeOf(t).IsZero() || ",
		"(",
	}, "./apikey", "TestTimesInShared"},
	{"unknown fields passed over", "apikey/record.go", edits{
		"strictjson.DecodeCanonical(b, &cached)",
		"json.Unmarshal(b, &cached)",
		"\t\"github.com/keyhatch/keyhatch/internal/strictjson\"\n",
		"",
	}, "./apikey", "TestBrokenShared"},
	{"version of a record ignored", "apikey/record.go", edits{
		" || cached.Version != recordVersion {",
		" {",
	}, "./apikey", "TestBrokenShared"},
	{"what is not text put into the level", "internal/recordjson/recordjson.go", edits{
		"case !text.AreUTF8(r.ID, r.Owner",
		"case false && !text.AreUTF8(r.ID, r.Owner",
	}, "./apikey", "TestRecordsThatAreNotUTF8"},
	{"a rotation that others do not know of treated as one that they do", "apikey/create.go", edits{
		"Secret: newSecret(token), Propagated: propagated}",
		"Secret: newSecret(token), Propagated: propagated || true}",
	}, "./apikey", "TestRotateReturnsTokenUnpropagated"},
}
