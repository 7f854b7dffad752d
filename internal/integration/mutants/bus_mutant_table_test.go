package mutants_test

// What a bus or a second level on real servers can get wrong.
var busMutants = []mutant{
	{"Redis: no lease asked for", "cache/rediscache/script.go", edits{
		"if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then",
		"if false then",
	}, "./cache/rediscache", "TestLevel/.*(lease|deleted)"},
	{"Redis: a deletion leaves the lease", "cache/rediscache/level.go", edits{
		"p.Del(ctx, c.names.of(key)...)",
		"p.Del(ctx, c.names.of(key)[0])",
	}, "./cache/rediscache", "TestLevel/.*(lease|deleted|removes_entries)"},
	{"Redis: a ttl counts from the fill", "cache/rediscache/script.go", edits{
		"local left = tonumber(ARGV[3]) - age",
		"local left = tonumber(ARGV[3])",
	}, "./cache/rediscache", "TestServerCountsFromTheLease"},
	{"Redis: forged entries trusted", "cache/rediscache/seal.go", edits{
		"if len(b) < prefix || !hmac.Equal(s.mac(key, b[:head], b[prefix:]), b[head:prefix]) {",
		"if len(b) < prefix {",
	}, "./cache/rediscache", "TestForgedEntriesAreMisses"},
	{"Redis: entries good for any key", "cache/rediscache/seal.go", edits{
		"h.Write(key[:])", "",
	}, "./cache/rediscache", "TestForgedEntriesAreMisses"},
	{"Redis: replayed entries live on", "cache/rediscache/seal.go", edits{
		" || old > e.ttl-s {", " {",
	}, "./cache/rediscache", "TestEntryAge"},
	{"Redis: no TLS needed", "cache/rediscache/config.go", edits{
		"if err == nil && !loopback.Is(host) {", "if err == nil && host == \"\" && loopback.Is(host) {",
	}, "./cache/rediscache", "TestInsecureNoTLS"},
	{"Redis: no TLS needed within a cluster", "cache/rediscache/config.go", edits{
		"Addrs: []string{o.Addr}, Dialer: o.Dialer,", "Addrs: []string{o.Addr},",
	}, "./cache/rediscache", "TestClusterOfOtherHosts"},
	{"Redis: echoes on the channel of all", "cache/rediscache/names.go", edits{
		"return n.channel() + \":\" + strings.ToLower(rand.Text())", "return n.channel() + strings.ToLower(rand.Text()[:0])",
	}, "./cache/rediscache", "TestBus/An_echo"},
	{"NOTIFY: no TLS needed for a second try", "store/pgstore/config.go", edits{
		"TLSConfig: c.TLSConfig}}, c.Fallbacks...)", "TLSConfig: c.TLSConfig}}, c.Fallbacks[:0]...)",
	}, "./store/pgstore", "TestInsecureNoTLS"},
	{"NOTIFY: an echo ahead of what was published", "store/pgstore/listener.go", edits{
		"\t\tl.drain(deliver)\n", "",
	}, "./store/pgstore", "TestBus/An_echo"},
	{"NOTIFY: an echo whether or not one can publish", "store/pgstore/bus.go", edits{
		"if err := b.checkServer(ctx, l.server); err != nil {", "if err := ctx.Err(); err != nil {",
	}, "./store/pgstore", "TestEchoWithoutPublish"},
	{"NOTIFY: one key for all channels", "store/pgstore/bus.go", edits{
		"[]byte(\"keyhatch/pgstore/bus/1\\x00\" + channel)", "[]byte(\"keyhatch/pgstore/bus/1\\x00\" + channel[:0])",
	}, "./store/pgstore", "TestBusSecret"},
	{"Redis: the clocks' difference added to the life of an entry", "cache/rediscache/seal.go", edits{
		"max(e.ttl-s-left, old+s)", "max(e.ttl-s-left, old-s)",
		"old > e.ttl-s {", "old > e.ttl+s {",
	}, "./cache/rediscache", "TestPutBackEntryIsBounded"},
	{"Redis: the breaker keeps deletions back", "cache/rediscache/level.go", edits{
		`c.bounded(ctx, "delete"`, `c.guarded(ctx, "delete", some[0]`,
	}, "./cache/rediscache", "TestBreaker"},
	{"Redis: the open breaker lets calls through", "cache/rediscache/level.go", edits{
		"if !c.breaker.Allow(key) {", "if !c.breaker.Allow(key) && ctx == nil {",
	}, "./cache/rediscache", "TestBreaker$"},
	{"Redis: the server is never asked for a sign of life", "cache/rediscache/line.go", edits{
		"n, err := w.readWithin(quiet, b)",
		"n, err := w.readWithin(time.Hour, b)",
	}, "./cache/rediscache", "TestBlackHole|TestStoppedServer"},
	{"Redis: a lost connection is replaced without a word", "cache/rediscache/line.go", edits{
		"if l.conn != nil {", "if false {",
	}, "./cache/rediscache", "TestReceiveConnectsOnce"},
	{"Redis: published at a replica", "cache/rediscache/bus.go", edits{
		"redis.call('DEL', KEYS[1])\n", "",
	}, "./cache/rediscache", "TestPublishAtAReplicaFails"},
	{"NOTIFY: the probe goes over the connection that listens", "store/pgstore/probe.go", edits{
		`if err := b.notify(ctx, channel, ""); err != nil {`,
		`if _, err := l.conn.Exec(ctx, "SELECT pg_notify($1, '')", channel); err != nil {`,
	}, "./store/pgstore", "TestBusThroughPoolerInTransactionModeIsRefused"},
	{"NOTIFY: the server is never asked for a sign of life", "store/pgstore/listener.go", edits{
		"if err := l.ping(ctx); err != nil {", "if err := ctx.Err(); err != nil {",
	}, "./store/pgstore", "TestListenerInABlackHole"},
	{"NOTIFY: a message that arrives during a ping is dropped", "store/pgstore/listener.go", edits{
		"if err := l.ping(ctx); err != nil {",
		`done, cancel := context.WithCancel(ctx)
		cancel()
		for err = l.ping(ctx); err == nil; {
			if n, _ := l.conn.WaitForNotification(done); n == nil {
				break
			}
		}
		if err != nil {`,
	}, "./store/pgstore", "TestMessagesDuringPings"},
	{"NOTIFY: all tables share a channel", "store/pgstore/bus.go", edits{
		`name := "keyhatch:" + schema + "." + table`,
		`name := "keyhatch:" + schema[:0] + table`,
	}, "./store/pgstore", "TestStoresOnOtherTablesHearNothing"},
	{"NOTIFY: the schema that Open has found is left out", "store/pgstore/bus.go", edits{
		"channelOf(s.Schema(), table)",
		"channelOf(s.options.Schema, table)",
	}, "./store/pgstore", "TestChannelOfASearchPathThatChanges"},
}
