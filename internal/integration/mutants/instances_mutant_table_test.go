package mutants_test

// What can go wrong between instances, and while the store fails.
var instanceMutants = []mutant{
	// What is doubted.
	{"no doubt on a new connection", "cache/feed.go", edits{
		"f.to.Doubt() // messages from before are lost",
		"_ = f.to.Doubt",
	}, "./cache", "TestFeedNewConnection"},
	{"no doubt when the connection is lost", "cache/feed.go", edits{
		"\t\t\tf.to.Alone(aloneTTL)\n\t\t\tf.tell(why)",
		"\t\t\tf.tell(why)",
	}, "./cache", "TestFeedDoubts$"},
	{"being alone ends nothing", "cache/trust.go", edits{
		"\tc.Doubt()\n\tc.trust.forEver()",
		"\tc.trust.forEver()",
	}, "./cache", "TestAlone"},
	{"no gap noticed", "cache/peer.go", edits{
		"missed = m.before() != last.change",
		"missed = last.change == 1<<63",
	}, "./cache", "TestFeedDoubts$"},
	{"no gap noticed of a new instance", "cache/peer.go", edits{
		"missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)",
		"missed = false",
	}, "./cache", "TestFeedDoubts$"},
	{"no doubt about what cannot be read", "cache/feed.go", edits{
		"f.missed(time.Now())",
		"_ = m",
	}, "./cache", "TestFeedStrangers"},
	{"a doubt about each message that cannot be read", "cache/feed.go", edits{
		"f.missed(time.Now())",
		"f.to.Doubt()",
	}, "./cache", "TestFeedStrangers"},
	{"a doubt about each old message", "cache/feed.go", edits{
		"if f.peers.hear(m, now) {\n\t\tf.missed(now)",
		"if f.peers.hear(m, now) {\n\t\tf.to.Doubt()",
	}, "./cache", "TestFeedOldMessages"},
	{"a doubt each time an instance falls silent", "cache/feed.go", edits{
		"f.peers.stranger(time.Now()) // or a peer",
		"// or a peer",
	}, "./cache", "TestFeedOldMessages"},
	{"a forged interval believed", "cache/peer.go", edits{
		"m.size, m.next = 0, min(m.next, p.every())",
		"m.size = 0",
	}, "./cache", "TestFeedForgedFleet"},
	{"a forged number of instances believed", "cache/peer.go", edits{
		"m.size, m.next = 0, min(m.next, p.every())",
		"m.next = min(m.next, p.every())",
	}, "./cache", "TestFeedForgedFleet"},
	{"quiet for as long as a fleet that has shrunk allowed", "cache/sender.go", edits{
		"if s.due.After(now.Add(every)) {",
		"if s.due.After(now.Add(every)) && every == 0 {",
	}, "./cache", "TestFeedForgedFleet"},
	{"a failure to publish not owned up to", "cache/sender.go", edits{
		"m.change, m.all = s.change, s.failed",
		"m.change = s.change",
	}, "./cache", "TestFeedOwnsUpToFailures"},
	{"what could not be told never told", "cache/sender.go", edits{
		"\t\tf.sendUntold(ctx)\n",
		"",
	}, "./cache", "TestFeedOwnsUpToFailures"},
	{"doubts end what an outage needs", "cache/fence.go", edits{
		"return (epoch^now)&^doubts != 0",
		"return epoch != now",
	}, "./cache", "TestDoubtedValuesServeOutages"},
	{"told, and not forgotten", "cache/feed.go", edits{
		"f.to.Forget(m.keys...)",
		"_ = m.keys",
	}, "./cache", "TestFeedForgets"},
	{"instances remembered without bound", "cache/peer.go", edits{
		"case !known && len(p.known) >= maxPeers:",
		"case len(p.known) < 0:",
	}, "./cache", "TestFeedFloodOfOrigins"},

	// What is trusted.
	{"an echo believed by what it says", "cache/feed.go", edits{
		"sent, ok := f.sender.when(m.beat)",
		"sent, ok := time.Now(), true",
	}, "./cache", "TestFeedForgery"},
	{"beats that can be guessed", "cache/message.go", edits{
		"func newBeat() (b beat) {\n\trand.Read(b[:])\n",
		"func newBeat() (b beat) {\n\trand.Read(b[:0])\n",
	}, "./cache", "TestFeedForgery"},
	{"trust counted from the echo", "cache/feed.go", edits{
		"until := sent.Add(silence)",
		"until := sent.Add(time.Since(sent) + silence)",
	}, "./cache", "TestFeedTrustCountsFromTheSending"},
	{"the last beats alone remembered", "cache/sender.go", edits{
		"if n > 0 && now.Sub(s.beats[n-1].at) < silence/maxBeats {",
		"if n < 0 {",
	}, "./cache", "TestFeedHearsOfItselfWhileBusy"},
	{"trust ends by the wall clock alone", "cache/trust.go", edits{
		"return int64(elapsed) < t.ends.Load() && wall < t.endsWall.Load()",
		"return wall < t.endsWall.Load()",
	}, "./cache", "TestTrustEndsByEitherClock"},
	{"trust ends by the monotonic clock alone", "cache/trust.go", edits{
		"return int64(elapsed) < t.ends.Load() && wall < t.endsWall.Load()",
		"return int64(elapsed) < t.ends.Load()",
	}, "./cache", "TestTrustEndsByEitherClock"},
	{"served though not trusted", "cache/entry.go", edits{
		"return c.trust.lasts(elapsed, wall) && c.undoubted(e, s)",
		"return c.undoubted(e, s)",
	}, "./cache", "TestTrustEndsByEitherClock"},
	{"load joined from before the trust ended", "cache/load.go", edits{
		"!leads && !(trusted && quiet(id.epoch) && same)",
		"!leads && !(trusted || quiet(id.epoch) && same)",
	}, "./cache", "TestLoadFromBeforeTrustEnded"},
	{"trust looked at when the load has landed", "cache/load.go", edits{
		"trusted, id := c.trusted(), c.flightID(key)",
		"id := c.flightID(key)",
		"!leads && !(trusted && quiet(id.epoch) && same)",
		"!leads && !(c.trusted() && quiet(id.epoch) && same)",
	}, "./cache", "TestLoadFromBeforeTrustEnded"},
	{"silence not noticed", "cache/link.go", edits{
		"case <-time.After(time.Until(ends)):",
		"case <-time.After(time.Hour + time.Until(ends)):",
	}, "./cache", "TestFeedSilence"},
	{"entries live on without a bus", "cache/trust.go", edits{
		"return min(ttl, longest)",
		"return max(ttl, longest)",
	}, "./cache", "TestAlone"},

	// Many instances, and what is forged.
	{"a farewell believed that anyone can say", "cache/feed.go", edits{
		"if m.bye && len(f.key) == 0 {",
		"if m.bye && len(f.key) == 1<<20 {",
	}, "./cache", "TestForgeLoseRepeat"},
	{"a repeated message taken for a sign of life", "cache/peer.go", edits{
		"case known && m.seq <= last.seq:",
		"case known && m.seq < last.seq:",
	}, "./cache", "TestForgeLoseRepeat"},
	{"messages not authenticated", "cache/feed.go", edits{
		"f.key = b.MACKey()",
		"_ = b.MACKey()",
	}, "./cache", "TestForgeLoseRepeat|TestFeedStrangers"},
	{"messages to all every second", "cache/peer.go", edits{
		"return max(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet)/presences)",
		"return min(heartbeat, heartbeat*time.Duration(p.fleet*p.fleet+presences)/presences)",
	}, "./cache", "TestFleetTraffic"},
	{"echoes to all", "cache/sender.go", edits{
		"_ = f.sendMessage(ctx, message{}, l.echo)",
		"_ = f.sendMessage(ctx, message{}, f.bus.Publish)",
	}, "./cache", "TestFleetTraffic"},
	{"an echo of another instance believed", "cache/feed.go", edits{
		"case m.origin == f.origin:",
		"case m.origin == f.origin || !m.changes():",
		"sent, ok := f.sender.when(m.beat)",
		"sent, ok := time.Now(), true",
	}, "./cache", "TestFeedForgery"},
	{"a cliff when there are more instances than are told apart", "cache/peer.go", edits{
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
	}, "./cache", "TestFeedReconnectsToTheOtherHalf"},
	{"a mark not told", "cache/sender.go", edits{
		"newBeat(), f.mark.Load()",
		"newBeat(), 0*f.mark.Load()",
	}, "./cache", "TestFeedMarks"},

	// The connection.
	{"an attempt waits for the one before", "cache/link.go", edits{
		"f.links.Load() < maxLinks",
		"f.links.Load() < 1",
	}, "./cache", "TestFeedReconnects"},
	{"attempts without a pause", "cache/link.go", edits{
		"next = time.Now().Add(retryPause*3/4 + guard.Jitter(retryPause/2))",
		"next = time.Now().Add(0 * guard.Jitter(retryPause))",
	}, "./cache", "TestFeedReconnects"},
	{"attempts without an end", "cache/link.go", edits{
		"late := time.AfterFunc(readyTime, cancel)",
		"late := time.AfterFunc(time.Hour, cancel)",
	}, "./cache", "TestFeedReconnects"},
	{"Close does not wait for Receive", "cache/link.go", edits{
		"f.running.Go(func() { f.attempt(ctx) })",
		"go f.attempt(ctx)",
	}, "./cache", "TestFeedClose$"},
	{"an exit of Receive leaves its place taken", "cache/link.go", edits{
		"\tguard.Finish(func() error { return f.bus.Receive(",
		"\tfinish := func(call func() error, done func(error)) { done(call()) }\n\tfinish(func() error { return f.bus.Receive(",
	}, "./cache", "TestBrokenBus"},
	{"a Publish that hangs waited for", "cache/sender.go", edits{
		"\tcase <-ctx.Done():\n\t\treturn fmt.Errorf(\"cache: publish: %w\", ctx.Err())\n\t}\n}\n\n// send sends",
		"\tcase <-context.Background().Done():\n\t\treturn ctx.Err()\n\t}\n}\n\n// send sends",
	}, "./cache", "TestFeedPublishErrors"},

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
	{"no spreading after an outage", "cache/stale.go", edits{
		"\t\tc.putOff(e, now)\n",
		"",
	}, "./cache", "TestPutOff"},
	{"all loaded at once after an outage", "cache/stale.go", edits{
		"pause = pause/2 + guard.Jitter(pause/2+1)",
		"pause = pause/2 + 0*guard.Jitter(pause/2+1)",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage"},
	{"put off for longer than a TTL", "cache/stale.go", edits{
		"min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)",
		"max(age-(e.ends-e.began), time.Second)",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage"},
	{"put off for a TTL after each failure", "cache/stale.go", edits{
		"min(max(age-(e.ends-e.began), time.Second), c.opts.TTL)",
		"c.opts.TTL",
	}, "./cache", "TestLoadsAreSpreadAfterAnOutage|TestOutagesInARow"},
	{"put off though another instance is silent", "cache/stale.go", edits{
		"!c.trust.limited() && ",
		"",
	}, "./cache", "TestPutOff"},
	{"silence of others not noticed", "cache/peer.go", edits{
		"silent = silent || !now.Before(k.due)",
		"silent = silent || now.After(k.gone)",
	}, "./cache", "TestFeedSilentPeer"},
	{"an instance said farewell and is missed", "cache/peer.go", edits{
		"case !k.left:",
		"default:",
	}, "./cache", "TestFeedPeerThatIsGone"},
	{"everything doubted once for each instance", "cache/peer.go", edits{
		"missed = m.before() != 0 && !now.Add(-m.ago).Before(p.ready)",
		"missed = m.before() != 0",
	}, "./cache", "TestFeedReconnectsToMany"},
	{"a bus that never comes up not reported", "cache/feed.go", edits{
		"f.tell(why) // it has never been up",
		"_ = why",
	}, "./cache", "TestFeedNeverUp"},
	{"put off although doubted", "cache/stale.go", edits{
		"c.undoubted(e, s) && c.mayBeStale",
		"c.mayBeStale",
	}, "./cache", "TestPutOff"},
	{"put off although not trusted", "cache/stale.go", edits{
		"c.trust.lasts(now.Sub(c.start), now.UnixNano()) && ",
		"",
	}, "./cache", "TestPutOff"},
	{"put off past StaleIfError", "cache/stale.go", edits{
		"c.undoubted(e, s) && c.mayBeStale(e, now)",
		"c.undoubted(e, s)",
	}, "./cache", "TestPutOff"},
	{"age ignored", "cache/entry.go", edits{
		"began = began.Add(-min(max(found.Age, 0), MaxDuration))",
		"_ = found.Age",
	}, "./cache", "TestAgeShortensLife"},

	// What a Manager tells.
	{"others not told", "apikey/instances.go", edits{
		"return m.feed.Publish(ctx, keys...) })",
		"return nil })",
	}, "./apikey", "TestOthersAreTold"},
	{"that others were not told hidden", "apikey/instances.go", edits{
		"if untold == nil {",
		"if untold == nil || ctx != nil {",
	}, "./apikey", "TestNotPropagated"},
	{"a verdict in a bus's error", "apikey/instances.go", edits{
		"ErrNotPropagated, noVerdict(untold))",
		"ErrNotPropagated, untold)",
	}, "./apikey", "TestNotPropagated"},
	{"not told when the store failed", "apikey/change.go", edits{
		"\t\t\tif !unchanged(err) {\n\t\t\t\tc.untold = errors.Join(",
		"\t\t\tif err == nil {\n\t\t\t\tc.untold = errors.Join(",
	}, "./apikey", "TestWhatIsTold"},
	{"told of what was refused", "apikey/change.go", edits{
		"\t\t\tif !unchanged(err) {\n\t\t\t\tc.untold = errors.Join(",
		"\t\t\t{\n\t\t\t\tc.untold = errors.Join(",
	}, "./apikey", "TestWhatIsTold"},
	{"not told when RevokeAll failed", "apikey/revokeall.go", edits{
		"err != nil || len(c.value) < store.RevokeBatch {",
		"err == nil && len(c.value) < store.RevokeBatch {",
	}, "./apikey", "TestWhatIsTold"},
	{"registered, and others not told", "apikey/create.go", edits{
		"\tif kind == EventCreated {",
		"\tif kind != \"\" {",
	}, "./apikey", "TestRegisterIsTold"},

	// The second level.
	{"level not deleted from", "apikey/level.go", edits{
		"return struct{}{}, l.Delete(ctx, keys...)",
		"return struct{}{}, nil",
	}, "./apikey", "TestLevelForgets|TestLevelIsNotFilled"},
	{"level deleted from outside the fence", "apikey/change.go", edits{
		"\t\t\t\t\tm.level.mark(keys...)\n\t\t\t\t\tc.untold = m.level.forget(ctx, keys...)\n",
		"",
		"c.untold = errors.Join(c.untold, m.publish(ctx, keys...))",
		"c.untold = m.level.forget(ctx, keys...)\n\t\t\t\tm.level.mark(keys...)\n\t\t\t\tc.untold = errors.Join(c.untold, m.publish(ctx, keys...))",
	}, "./apikey", "TestLevelForgetsWithinTheFence"},
	{"level not deleted from when the store failed", "apikey/change.go", edits{
		"if !unchanged(err) {\n\t\t\t\t\tm.level.mark(keys...)",
		"if err == nil {\n\t\t\t\t\tm.level.mark(keys...)",
	}, "./apikey", "TestLevelForgetsWhatMayHaveHappened"},
	{"level keeps an owner's keys", "apikey/revokeall.go", edits{
		"return a.level.forgetOwner(ctx, a.owner)",
		"return nil",
	}, "./apikey", "TestRevokeAllAgainForgetsAll"},
	{"level believed after a failed delete", "apikey/level.go", edits{
		"return int64(time.Since(l.start)) < l.at(&key).Load()",
		"return false",
	}, "./apikey", "TestLevelCannotForget"},
	{"level believed again too soon", "apikey/level.go", edits{
		"until := int64(time.Since(l.start) + l.m.opts.CacheTTL + cache.MaxLease)",
		"until := int64(time.Since(l.start) + cache.MaxLease)",
	}, "./apikey", "TestLevelCannotForget"},
	{"level believed by others after a failed delete", "apikey/instances.go", edits{
		"l.level.mark(keys...)",
		"_ = l.level",
	}, "./apikey", "TestLevelCannotForget/fails"},
	{"level believed by others after RevokeAll", "apikey/instances.go", edits{
		"l.level.mark(group)",
		"_ = l.level",
	}, "./apikey", "TestLevelCannotForget/fails"},
	{"level believed of an owner whose keys were revoked", "apikey/level.go", edits{
		"if l.marked(found.Group) {",
		"if false {",
	}, "./apikey", "TestLevelCannotForget/fails"},
	{"level asked while the bus is lost", "apikey/level.go", edits{
		" || l.m.feed != nil && !l.m.feed.Up() {",
		" {",
	}, "./apikey", "TestLevelIsNotAskedWithoutTheBus"},
	{"age of the level's items ignored", "apikey/level.go", edits{
		"found.Age, found.Kept = item.Age, true",
		"found.Kept = true",
	}, "./apikey", "TestLevelItemsAge"},
	{"level's record of another key believed", "apikey/level.go", edits{
		"if err != nil || !possible(r, d) ||",
		"if err != nil ||",
	}, "./apikey", "TestBrokenLevel"},
	{"a level that hangs waited for", "apikey/level.go", edits{
		"return askFor(ctx, l.calls, min(levelTime, l.m.opts.CallTimeout/4), func() {}, call)",
		"return call(ctx)",
	}, "./apikey", "TestBrokenLevel/(panics|hangs|exits)"},
	{"0 microseconds taken for never", "internal/recordjson/recordjson.go", edits{
		"if t.IsZero() {\n",
		"if t.IsZero() || t.UnixMicro() == 0 {\n",
	}, "./apikey", "TestTimesInTheLevel"},
	{"a time that means never believed", "internal/recordjson/recordjson.go", edits{
		"if t.IsZero() || !t.isPossible() {",
		"if !t.isPossible() {",
	}, "./internal/recordjson", "TestTime"},
	{"a record with a time close to never is written", "internal/recordjson/recordjson.go", edits{
		"(TimeOf(t).IsZero() || ",
		"(",
	}, "./apikey", "TestTimesInTheLevel"},
	{"unknown fields passed over", "apikey/record.go", edits{
		"strictjson.DecodeCanonical(b, &cached)",
		"json.Unmarshal(b, &cached)",
		"\t\"github.com/keyhatch/keyhatch/internal/strictjson\"\n",
		"",
	}, "./apikey", "TestBrokenLevel"},
	{"version of a record ignored", "apikey/record.go", edits{
		" || cached.Version != recordVersion {",
		" {",
	}, "./apikey", "TestBrokenLevel"},
	{"what is not text put into the level", "internal/recordjson/recordjson.go", edits{
		"case !text.AreUTF8(r.ID, r.Owner",
		"case false && !text.AreUTF8(r.ID, r.Owner",
	}, "./apikey", "TestRecordsThatAreNotText"},
	{"a rotation that others do not know of taken for one that they do", "apikey/create.go", edits{
		"Secret: newSecret(token), Propagated: told}",
		"Secret: newSecret(token), Propagated: told || true}",
	}, "./apikey", "TestRotateKeepsItsToken"},
}
