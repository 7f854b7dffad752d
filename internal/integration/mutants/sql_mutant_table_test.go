package mutants_test

// What a store in a database can get wrong. A mutant that only loses power would
// show, such as a weaker synchronous, is noticed by a test that asks for the
// setting.
var sqlMutants = []mutant{
	{"SQL: half a read treated as all of it", "store/sqlstore/read.go", edits{
		"return records, rows.Err()", "return records, nil",
	}, "./internal/integration/databases", "TestReadThatBreaksOff"},
	{"SQL: an id that the database takes for another one", "store/sqlstore/read.go", edits{
		"case r.ID != id:", "case r.ID == \"\":",
	}, "./internal/integration/databases", "TestIDsThatTheDatabaseTakesForOne"},
	{"SQL: an owner that the database takes for another one", "store/sqlstore/read.go", edits{
		"if r.Owner != owner {\n\t\t\treturn nil", "if r.Owner == \"\" {\n\t\t\treturn nil",
	}, "./internal/integration/databases", "TestOwnersThatTheDatabaseTakesForOne"},
	{"SQL: a limit of 0 is no limit to a rotation", "store/sqlstore/update.go", edits{
		"if err != nil || limit < 0 {", "if err != nil || limit <= 0 {",
	}, "./store/sqlitestore", "TestStore/Rotate_with_a_grace_period_keeps"},
	{"SQL: limit not checked", "store/sqlstore/insert.go", edits{
		"return n > limit, err",
		"return n < 0, err",
	}, "./store/sqlitestore", "TestStore|TestLimitHoldsAcrossProcesses"},
	{"SQL: limit counted before the transaction", "store/sqlstore/insert.go", edits{
		"\t\tcase full:\n", "\t\tcase full && s == nil:\n",
		"\treturn wrap(\"insert\", s.write(",
		`	page, err := s.List(ctx, store.Query{Owner: r.Owner})
	if err != nil {
		return err
	}
	if limit >= 0 && len(page.Records) >= limit {
		return store.ErrLimit
	}
	return wrap("insert", s.write(`,
	}, "./store/sqlitestore", "TestLimitHoldsAcrossProcesses"},
	{"SQL: rotation not held to the limit", "store/sqlstore/update.go", edits{
		"if err == nil && exceeded {",
		"if err == nil && exceeded && s == nil {",
	}, "./store/sqlitestore", "TestStore"},
	{"memory: a record that ended by a faster clock inserted", "store/memstore/memstore.go", edits{
		"if r.ExpiresBefore(at) {",
		"if r.ExpiresBefore(r.CreatedAt) {",
	}, "./store/memstore", "TestStore/.*slower_clock"},
	{"SQL: a record that ended by a faster clock inserted", "store/sqlstore/insert.go", edits{
		"case r.ExpiresBefore(at):",
		"case r.ExpiresBefore(r.CreatedAt):",
	}, "./store/sqlitestore", "TestStore/.*slower_clock"},
	{"an expiry that has come by a faster clock set", "store/rule.go", edits{
		"if ended || (Record{ExpiresAt: *c.ExpiresAt}).IsExpired(c.At) {",
		"if ended {",
	}, "./store/memstore", "TestStore/.*slower_clock"},
	{"a grace period that has ended by a faster clock granted", "store/rule.go", edits{
		"case !ends.After(at):",
		"case !next.HasGracePeriod(ends):",
	}, "./store/memstore", "TestStore/.*slower_clock"},
	{"a clock that was far ahead prevents a rotation without grace", "store/rule.go", edits{
		"judged = next.CreatedAt",
		"judged = at",
	}, "./store/memstore", "TestStore/.*far_ahead"},
	{"an expiry refused by another clock is a conflict", "apikey/create.go", edits{
		"if errors.Is(err, store.ErrConflict) {",
		"if err == store.ErrConflict && m == nil {",
	}, "./apikey", "TestExpiryBetweenTwoClocks"},
	{"PostgreSQL: a revocation in many round trips", "store/sqlstore/revoke.go", edits{
		`if s.dialect.revoke != "" {`,
		`if s.dialect.revoke == "-" {`,
	}, "./internal/integration/databases", "TestRevokeIsOneStatement"},
	{"PostgreSQL: a revocation in one statement moves no latest instant", "store/sqlstore/revoke.go", edits{
		"s.sql.revokeAtOnce, owner, sqldb.Micros(at), sqldb.Micros(at), reason, id, sqldb.Micros(at),",
		"s.sql.revokeAtOnce, owner, 0, sqldb.Micros(at), reason, id, 0,",
	}, "./internal/integration/databases", "TestRevokeIsOneStatement"},
	{"PostgreSQL: a revocation in one statement goes through uncounted", "store/sqlstore/revoke.go", edits{
		"case !*row.counted:",
		"case !*row.counted && s == nil:",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/PostgreSQL.*count"},
	{"PostgreSQL: look-ups take every connection", "store/pgstore/pgstore.go", edits{
		"max(1, pool.Config().MaxConns-sparedConns)",
		"max(1, pool.Config().MaxConns)",
	}, "./store/pgstore", "TestLookupsSpareConnections"},
	{"SQL: instant taken before the lock", "store/sqlstore/tx.go", edits{
		"return do(tx, latest)",
		"_ = latest\n\t\treturn do(tx, at)",
	}, "./store/sqlitestore", "TestStore"},
	{"SQLite: latest instant not kept", "store/sqlstore/sqlite.go", edits{
		"SET latest = max(latest, excluded.latest)",
		"SET latest = excluded.latest",
	}, "./store/sqlitestore", "TestStore"},
	{"PostgreSQL: owners of version 1 have no latest instant", "store/sqlstore/schema/postgresql/2.sql", edits{
		"latest bigint NOT NULL DEFAULT 0",
		"latest bigint NOT NULL",
	}, "./internal/integration/databases", "TestMigrateKeepsTheRowsOfVersion1|TestVersionsShareADatabase"},
	{"PostgreSQL: latest instant goes back", "store/sqlstore/postgres.go", edits{
		"SET latest = GREATEST(o.latest, EXCLUDED.latest) RETURNING latest",
		"SET latest = EXCLUDED.latest RETURNING latest",
	}, "./internal/integration/databases", "TestLimitHoldsWhateverTheClocks/PostgreSQL"},
	{"MySQL: latest instant goes back", "store/sqlstore/mysql.go", edits{
		"latest = GREATEST(latest, VALUES(latest))",
		"latest = VALUES(latest)",
	}, "./internal/integration/databases", "TestLimitHoldsWhateverTheClocks/MariaDB"},
	{"SQL: expired keys count", "store/sqlstore/statements.go", edits{
		"replaced_by = '' AND expires_at > ?\"",
		"replaced_by = '' AND expires_at > ? - 10e10\"",
	}, "./store/sqlitestore", "TestStore"},
	{"SQLite: who waits for the lock gives up the turn", "store/sqlstore/sqlite.go", edits{
		"lockAgain: true,",
		"lockAgain: false,",
	}, "./store/sqlitestore", "TestWaitingForTheLockKeepsTheTurn"},
	{"SQLite: who waits for the lock keeps readers waiting", "store/sqlstore/tx.go", edits{
		"if !s.dialect.lockAgain || s.reads == s.writes {",
		"if !s.dialect.lockAgain {",
	}, "./store/sqlitestore", "TestPoolsOfTheHost"},
	{"SQLite: who waits for the lock gives up five seconds after the one before", "store/sqlstore/tx.go", edits{
		"s.tables.RetryBusySince(ctx, began, ask)",
		"s.tables.RetryBusy(ctx, ask)",
	}, "./store/sqlitestore", "TestAllGiveUpTogether"},
	{"SQL: commit left out", "store/sqlstore/tx.go", edits{
		"if err := sqldb.Within(ctx, tx.Commit); err != nil {",
		"if err := sqldb.Within(ctx, tx.Rollback); err != nil {",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: a busy database is an outage", "internal/sqldb/sqlite.go", edits{
		"return errors.As(err, &coded) && coded.Code()&0xff == busy",
		"return errors.As(err, &coded) && coded.Code() < 0 && busy > 0",
	}, "./store/sqlitestore", "TestLockedFileHonoursTheContext|TestLimitHoldsAcrossProcesses|TestThousandConcurrentCreates|TestTenProcesses"},
	{"SQL: use of a revoked key written", "store/sqlstore/sqlite.go", edits{
		"AND k.revoked_at IS NULL\n\t\tAND (k.last_used_at",
		"AND (k.last_used_at",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: last use moved backwards", "store/sqlstore/sqlite.go", edits{
		"AND (k.last_used_at IS NULL OR k.last_used_at < u.at\n\t\t\tOR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at)",
		"",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: last use by a wrong clock stays for ever", "store/sqlstore/sqlite.go", edits{
		"OR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at",
		"",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: last use by a clock at its epoch", "store/sqlstore/sqlite.go", edits{
		"86400000000 AND k.created_at <= u.at",
		"86400000000",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: every revocation says it was the first", "store/sqlstore/revoke.go", edits{
		"if r, changed = r.WithRevocation(at, reason); !changed {",
		"if r, changed = r.WithRevocation(at, reason); !changed {\n\t\t\tchanged = true",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: successor and old key in two transactions", "store/sqlstore/update.go", edits{
		"\t\tif err := s.insert(ctx, tx, now); err != nil {\n\t\t\treturn now, err\n\t\t}\n",
		`		if err := s.insert(ctx, tx, now); err != nil {
			return now, err
		}
		if err := tx.Commit(); err != nil {
			return now, err
		}
		time.Sleep(time.Millisecond)
		tx, err = s.writes.BeginTx(ctx, nil)
		if err != nil {
			return now, err
		}
		defer tx.Commit()
`,
	}, "./store/sqlitestore", "TestKillLosesNothingAcknowledged|TestStore"},
	{"SQL: whole row written back", "store/sqlstore/update.go", edits{
		"\tif c.Name != nil {\n\t\tset.add(\"name\", *c.Name)\n\t}\n",
		"\tname := \"\"\n\tif c.Name != nil {\n\t\tname = *c.Name\n\t}\n\tset.add(\"name\", name)\n",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: another owner's key found", "store/sqlstore/read.go", edits{
		"case r.Owner != owner:",
		"case r.Owner == \"\":",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: a page begins with the last one's end", "store/sqlstore/statements.go", edits{
		"WHERE owner = ? AND created_at <= ? AND (created_at < ? OR id < ?)",
		"WHERE owner = ? AND created_at <= ? AND (created_at < ? OR id <= ?)",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: a page of ended keys begins with the last one's end", "store/sqlstore/statements.go", edits{
		"OR expires_at <= ?) AND created_at <= ? AND (created_at < ? OR id < ?)",
		"OR expires_at <= ?) AND created_at <= ? AND (created_at < ? OR id <= ?)",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQL: cursor ignored among current keys that never expire", "store/sqlstore/statements.go", edits{
		"AND created_at <= ? AND (created_at < ? OR id < ?)\n\t\t\t\tORDER BY ` + s.dialect.endless",
		"AND (created_at <= ? OR created_at < ? OR id < ? OR true)\n\t\t\t\tORDER BY ` + s.dialect.endless",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQL: cursor ignored among current keys that expire", "store/sqlstore/statements.go", edits{
		"WHERE listed_at <= ? AND (listed_at < ? OR listed < ?)",
		"WHERE (listed_at <= ? OR listed_at < ? OR listed < ? OR true)",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQL: revoked keys listed as current", "store/sqlstore/statements.go", edits{
		"revoked_at IS NULL AND expires_at > ? ` + s.dialect.fence",
		"expires_at > ? ` + s.dialect.fence",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQL: expired keys listed as current", "store/sqlstore/statements.go", edits{
		"revoked_at IS NULL AND expires_at > ? ` + s.dialect.fence",
		"revoked_at IS NULL AND expires_at >= ? ` + s.dialect.fence",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQL: current keys that expire not listed", "store/sqlstore/statements.go", edits{
		"revoked_at IS NULL AND expires_at > ? ` + s.dialect.fence",
		"revoked_at IS NULL AND expires_at > ? + 10e15 ` + s.dialect.fence",
	}, "./store/sqlitestore", "TestStore/A_filtered_list"},
	{"SQLite: ended keys read for a list of current ones", "store/sqlstore/sqlite.go", edits{
		"byCurrent:  \"INDEXED BY keyhatch_keys_current\",",
		"byCurrent:  \"INDEXED BY keyhatch_keys_list\",",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"PostgreSQL: ended keys read for a list of current ones", "store/sqlstore/postgres.go", edits{
		"\"OFFSET 0\",",
		"\"\",",
	}, "./internal/integration/databases", "TestPostgresPlans"},
	{"PostgreSQL: current keys that never expire sorted", "store/sqlstore/postgres.go", edits{
		"\"expires_at DESC, \",",
		"\"\",",
	}, "./internal/integration/databases", "TestPostgresPlans"},
	{"MySQL: ended keys read for a list of current ones", "store/sqlstore/mysql.go", edits{
		"byCurrent:  \"FORCE INDEX (keyhatch_keys_current)\",",
		"byCurrent:  \"FORCE INDEX (keyhatch_keys_list)\",",
	}, "./internal/integration/databases", "TestMySQLPlans"},
	{"SQLite: all keys of the owner read to revoke a batch", "store/sqlstore/statements.go", edits{
		"WHERE revoked_at IS NULL AND digest IN (?`",
		"WHERE owner = 'o' AND revoked_at IS NULL AND digest IN (?`",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"SQL: current keys listed without an index", "store/sqlstore/schema/sqlite/4.sql", edits{
		"ON keyhatch_keys (owner, expires_at, created_at, id, replaced_by, revoked_at)",
		"ON keyhatch_keys (owner, expires_at)",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"SQL: list sorted in memory", "store/sqlstore/schema/sqlite/1.sql", edits{
		"ON keyhatch_keys (owner, created_at, id, revoked_at, expires_at);",
		"ON keyhatch_keys (owner, id);",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"SQL: limit counted without an index", "store/sqlstore/schema/sqlite/4.sql", edits{
		"ON keyhatch_keys (owner, expires_at, created_at, id, replaced_by, revoked_at)",
		"ON keyhatch_keys (expires_at, created_at, id, replaced_by, revoked_at)",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"SQLite: rows read to count keys", "store/sqlstore/schema/sqlite/4.sql", edits{
		"ON keyhatch_keys (owner, expires_at, created_at, id, replaced_by, revoked_at)",
		"ON keyhatch_keys (owner, expires_at, created_at, id)",
	}, "./store/sqlitestore", "TestNoStatementScansTheTable"},
	{"SQL: later schema opened", "internal/sqldb/tables.go", edits{
		"if version < 0 || version > newest {",
		"if version > newest {\n\t\treturn nil\n\t}\n\tif version < 0 {",
	}, "./store/sqlitestore", "TestOpenRefusesANewerSchema"},
	{"SQL: times cut to seconds", "internal/sqldb/columns.go", edits{
		"return t.UnixMicro()",
		"return t.Unix() * 1e6",
	}, "./store/sqlitestore", "TestStore"},
	{"SQL: commit without an answer treated as a failure", "store/sqlstore/tx.go", edits{
		"return err == nil && same(r, left)\n",
		"return err == nil && same(r, left) && s == nil\n",
	}, "./internal/integration/databases", "TestCommitWithoutAnAnswer"},
	{"SQL: commit that failed treated as done", "store/sqlstore/tx.go", edits{
		`return fmt.Errorf("%w: %w", errCommit, err)`,
		"return nil",
	}, "./internal/integration/databases", "TestCommitThatDoesNotArrive"},
	{"SQL: commit waits for a server that says nothing", "store/sqlstore/tx.go", edits{
		"sqldb.Within(ctx, tx.Commit)",
		"tx.Commit()",
	}, "./internal/integration/databases", "TestSilentServerHoldsNobody"},
	{"SQL: transaction left open by a panic", "store/sqlstore/tx.go", edits{
		"if begun != nil {",
		"if begun != nil && s == nil {",
	}, "./internal/integration/databases", "TestPanicLeavesNoTransaction"},
	{"MySQL: dirty reads accepted", "internal/sqldb/mysql.go", edits{
		"= 'READ-UNCOMMITTED'",
		"= 'NONE'",
	}, "./internal/integration/databases", "TestMigrateRefusesSettings"},
	{"PostgreSQL: owner not locked", "store/sqlstore/postgres.go", edits{
		"INSERT INTO keyhatch_keys_owners AS o (owner, latest) VALUES (?, ?)\n" +
			"\t\tON CONFLICT (owner) DO UPDATE SET latest = GREATEST(o.latest, EXCLUDED.latest) RETURNING latest",
		"SELECT CASE WHEN ? = '' THEN 0 ELSE ?::bigint END",
	}, "./internal/integration/databases", "TestLimitHoldsAtEveryIsolation"},
	{"PostgreSQL: the table is read to count few keys", "store/sqlstore/postgres.go", edits{
		"\"ORDER BY expires_at\",",
		"\"\",",
	}, "./internal/integration/databases", "TestPostgresPlans"},
	{"PostgreSQL: uses locked in any order", "store/sqlstore/postgres.go", edits{
		"IS NULL ORDER BY k.digest FOR UPDATE OF k",
		"IS NULL FOR UPDATE OF k",
	}, "./internal/integration/databases", "TestTouchDoesNotDeadlock"},
	{"MySQL: owner not locked", "store/sqlstore/mysql.go", edits{
		"INSERT INTO keyhatch_keys_owners (owner, latest) VALUES (?, ?)\n" +
			"\t\tON DUPLICATE KEY UPDATE latest = GREATEST(latest, VALUES(latest))",
		"DELETE FROM keyhatch_keys_owners WHERE owner = CONCAT(?, 'x') AND latest = ?",
		"SELECT latest FROM keyhatch_keys_owners WHERE owner = ?",
		"SELECT LENGTH(?)",
	}, "./internal/integration/databases", "TestLimitHoldsAtEveryIsolation"},
	{"MySQL: writes not read again", "store/sqlstore/tx.go", edits{
		"rows, err = s.readBack(ctx, tx, left)",
		"rows = left",
	}, "./internal/integration/databases", "TestMySQLCutsNothingOff"},
	{"SQL: a write that changed no row treated as done", "store/sqlstore/tx.go", edits{
		"case len(rows) < len(left):",
		"case len(rows) == 0:\n\t\treturn nil\n\tcase len(rows) < len(left):",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/.*updates"},
	{"SQL: a write that was altered treated as done", "store/sqlstore/tx.go", edits{
		"case !sameRecords(rows, left):",
		"case !sameRecords(rows, left) && s == nil:",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/.*undoes"},
	{"SQL: a batch of which a part was skipped treated as done", "store/sqlstore/tx.go", edits{
		"case len(rows) < len(left):",
		"case len(rows) == 0:",
		"case !sameRecords(rows, left):",
		"case len(rows) == len(left) && !sameRecords(rows, left):",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/PostgreSQL_trigger_skips_one"},
	{"SQL: an insert that was skipped treated as a duplicate", "store/sqlstore/insert.go", edits{
		"\treturn failed\n}",
		"\treturn store.ErrDuplicate\n}",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/.*inserts"},
	{"SQL: a latest instant that did not move trusted", "store/sqlstore/tx.go", edits{
		"err == nil && latest < at.UnixMicro()",
		"err == nil && latest < 0",
	}, "./internal/integration/databases", "TestSkippedWriteIsAnOutage/.*latest"},
	{"SQLite: commit does not wait for the disk", "store/sqlitestore/settings.go", edits{
		`durable = setting{"synchronous", "FULL", "2"}`,
		`durable = setting{"synchronous", "NORMAL", "1"}`,
	}, "./store/sqlitestore", "TestEveryConnectionHasTheSettings"},
	{"SQLite: file readable by others", "store/sqlitestore/file.go", edits{
		"os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600",
		"os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644",
	}, "./store/sqlitestore", "TestNewFileIsReadableByItsOwnerAlone"},
	{"SQLite: path treated as a URI", "store/sqlitestore/settings.go", edits{
		"return uri.String()",
		"return \"file:\" + path + \"?\" + uri.RawQuery",
	}, "./store/sqlitestore", "TestOpenTakesAnyPath"},
	{"pgstore: pooler not noticed", "store/pgstore/server.go", edits{
		"pooled = conn.PgConn().PID() != s.pid",
		"pooled = conn.PgConn().PID() != s.pid && s.pid == 0",
	}, "./store/pgstore", "TestPoolerIsFoundOut|TestStoreThroughPooler"},
	{"pgstore: standby accepted", "store/pgstore/config.go", edits{
		"if errors.Is(err, pgconn.ErrReadOnlyConnection) {",
		"if errors.Is(err, pgconn.ErrReadOnlyConnection) {\n\t\t\treturn nil",
	}, "./store/pgstore", "TestStandbyIsRefused"},
	{"remotestore: secret not asked for", "store/remotestore/handler.go", edits{
		"if !h.authentic(r) {",
		"if !h.authentic(r) && h.store == nil {",
	}, "./store/remotestore", "TestHandlerAsksForTheSecretFirst"},
	{"remotestore: redirect followed", "internal/httpclient/httpclient.go", edits{
		"CheckRedirect: noRedirect}",
		"CheckRedirect: nil}",
	}, "./store/remotestore", "TestRedirectsAreNotFollowed"},
	{"remotestore: answer to another question trusted", "store/remotestore/lookup.go", edits{
		"if err == nil && r.Digest != d {",
		"if err == nil && r.Digest.IsZero() {",
	}, "./store/remotestore", "TestPoisonedAnswers"},
	{"remotestore: record of another part trusted", "store/remotestore/list.go", edits{
		"r.Owner != q.Owner || !q.Matches(r) ||",
		"r.Owner != q.Owner ||",
	}, "./store/remotestore", "TestForgedParts"},
	{"remotestore: shape of an answer not compared", "internal/strictjson/strictjson.go", edits{
		"err == nil && bytes.Equal(again, document) {",
		"err == nil && len(again) > 0 || bytes.Equal(again, document) {",
	}, "./store/remotestore", "TestPoisonedAnswers"},
}
