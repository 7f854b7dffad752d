package databases_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A private server is a server that a test may disturb.
type private struct {
	database
	*testkit.Server
	admin *sql.DB

	refused string // the server's error for too many connections
	holds   []hold

	diskFull, readOnly func(*testing.T, *private) // nil if tested elsewhere
	waiting            string                     // query for a connection that waits for a lock
	kill               string                     // statement that ends the connection

	// pause is the time between two of these queries. InnoDB updates the result only
	// if there was no query for 100 ms.
	pause time.Duration
}

// A hold is a statement that holds a lock until its transaction ends, and a call that waits for
// the lock.
type hold struct{ statement, release, call string }

// usual lists settings for few connections and little space, so that tests can use them up.
var (
	usualPostgres = []string{"max_connections=20", "max_wal_senders=0"}
	usualMySQL    = []string{"max-connections=15", "innodb-file-per-table=OFF", "innodb-data-file-path=ibdata1:12M:autoextend:max:24M"}
)

func privatePostgres(t *testing.T) *private {
	t.Helper()
	s := testkit.StartPostgreSQL(t, usualPostgres...)
	admin := testkit.OpenDB(t, "pgx", s.DSN())
	admin.SetMaxIdleConns(0) // idle connections of a dead server would fail
	return &private{
		database: databases[1], Server: s, admin: admin,
		refused: "too many clients", diskFull: diskFullPostgres, readOnly: standbyPostgres,
		holds: []hold{
			{"LOCK TABLE keyhatch_keys IN ACCESS EXCLUSIVE MODE", "", "Lookup"},
			{"INSERT INTO keyhatch_keys_owners (owner) VALUES ('o') ON CONFLICT (owner) DO UPDATE SET owner = 'o'", "", "Insert"},
			{"SELECT 1 FROM keyhatch_keys WHERE id = 'k2' FOR UPDATE", "", "Rotate"},
		},
		waiting: "SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1",
		kill:    "SELECT pg_terminate_backend(%d)",
		pause:   time.Millisecond,
	}
}

func privateMySQL(t *testing.T) *private {
	t.Helper()
	s := testkit.StartMySQL(t, usualMySQL...)
	admin := testkit.OpenDB(t, "mysql", s.DSN())
	admin.SetMaxIdleConns(0) // idle connections of a dead server would fail
	testkit.ExecuteOn(t, admin, "CREATE DATABASE keys_of_test")
	return &private{
		database: databases[2], Server: s, admin: admin,
		refused: "Too many connections", diskFull: diskFullMySQL, readOnly: readOnlyMySQL,
		holds: []hold{
			{"LOCK TABLES keyhatch_keys WRITE", "UNLOCK TABLES", "Lookup"},
			{"INSERT INTO keyhatch_keys_owners (owner) VALUES ('o') ON DUPLICATE KEY UPDATE owner = 'o'", "", "Insert"},
			{"SELECT 1 FROM keyhatch_keys WHERE id = 'k2' FOR UPDATE", "", "Rotate"},
		},
		waiting: `SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'
			UNION SELECT id FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' LIMIT 1`,
		kill:  "KILL %d",
		pause: 150 * time.Millisecond,
	}
}

// name returns the data source name of the server's only database.
func (p *private) name() string {
	if p.dialect == sqlstore.PostgreSQL {
		return p.DSN()
	}
	config := parsedMySQL(p.DSN())
	config.DBName = "keys_of_test"
	return config.FormatDSN()
}

// Each server has one fault after another, and the store recovers from each.
func TestServersInTrouble(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *private{"PostgreSQL": privatePostgres, "MariaDB": privateMySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			for name, trouble := range map[string]func(*testing.T, *private){
				"connections killed": connectionsKilled,
				"server killed":      serverKilled,
				"too many":           tooManyConnections,
				"disk full":          p.diskFull,
				"read only":          p.readOnly,
				"reads elsewhere":    readsElsewhere,
			} {
				if trouble != nil {
					t.Run(name, func(t *testing.T) { trouble(t, p) })
				}
			}
		})
	}
}

// store returns a Store with some keys on the server, in new tables.
func (p *private) store(t *testing.T, db *sql.DB) (store.Store, map[string]store.Record) {
	t.Helper()
	s := migrated(t, p.dialect, db, nil)
	t.Cleanup(func() {
		testkit.ExecuteOn(t, db, "DROP TABLE keyhatch_keys, keyhatch_keys_owners, keyhatch_keys_version, keyhatch_keys_revocations")
	})
	return s, someKeys(t, s)
}

// a call whose connection ends while it waits returns an outage error and changes nothing.
func connectionsKilled(t *testing.T, p *private) {
	s, had := p.store(t, testkit.OpenDB(t, p.driver, p.name()))
	for _, h := range p.holds {
		end := p.hold(t, h)
		done := p.begin(t, s, h.call)
		for finished := false; !finished; { // a driver may retry a read
			select {
			case err := <-done:
				outage(t, err, h.call+" whose connection was killed")
				finished = true
			case <-time.After(p.pause):
				if id := p.waits(t); id != 0 {
					p.admin.Exec(fmt.Sprintf(p.kill, id)) // the connection may already have ended
				}
			}
		}
		end()
	}
	recovered(t, s, had)
}

// a call that waits while its server crashes returns an outage error and changes nothing.
func serverKilled(t *testing.T, p *private) {
	s, had := p.store(t, testkit.OpenDB(t, p.driver, p.name()))
	for _, h := range p.holds {
		end := p.hold(t, h)
		done := p.begin(t, s, h.call)
		for p.waits(t) == 0 {
			time.Sleep(p.pause)
		}
		p.Kill()
		outage(t, <-done, h.call+" while the server was killed")
		end()
		allFail(t, callEach(t.Context(), s), "refused")
		p.Start()
	}
	recovered(t, s, had)
}

// hold makes other statements wait until end is called.
func (p *private) hold(t *testing.T, h hold) (end func()) {
	t.Helper()
	conn, err := testkit.OpenDB(t, p.driver, p.name()).Conn(t.Context()) // a new connection
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN", h.statement} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return func() {
		for _, statement := range []string{h.release, "ROLLBACK"} {
			if statement != "" {
				conn.ExecContext(context.WithoutCancel(t.Context()), statement) // the connection may be dead
			}
		}
		conn.Close()
	}
}

// begin makes a call in a goroutine. The call must end soon.
func (p *private) begin(t *testing.T, s store.Store, call string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() { done <- calls[call](ctx, s) }()
	return done
}

// waits returns the connection that waits for a lock, or 0.
func (p *private) waits(t *testing.T) (id int64) {
	t.Helper()
	if err := p.admin.QueryRowContext(t.Context(), p.waiting).Scan(&id); err != nil && err != sql.ErrNoRows {
		t.Fatal(err)
	}
	return id
}

func tooManyConnections(t *testing.T, p *private) {
	db := testkit.OpenDB(t, p.driver, p.name())
	s, had := p.store(t, db)
	db.SetMaxIdleConns(0) // so that the Store needs a new one
	others := testkit.OpenDB(t, p.driver, p.name())
	others.SetMaxOpenConns(0)
	var taken []*sql.Conn
	var err error
	for err == nil {
		var conn *sql.Conn
		if conn, err = others.Conn(t.Context()); err == nil {
			taken = append(taken, conn)
		}
	}
	if !strings.Contains(err.Error(), p.refused) {
		t.Fatal(err)
	}
	allFail(t, callEach(t.Context(), s), p.refused)
	for _, conn := range taken {
		conn.Close()
	}
	others.Close()
	db.SetMaxIdleConns(1) // keeps the first connection that the server accepts again
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err = db.PingContext(t.Context()); err == nil {
			break
		}
		if !strings.Contains(err.Error(), p.refused) || time.Since(began) > 10*time.Second {
			t.Fatal(err)
		}
	}
	recovered(t, s, had)
}

// a server that has become a standby may return old data, so reads fail too.
func standbyPostgres(t *testing.T, p *private) {
	db := testkit.OpenDB(t, p.driver, p.name())
	s, had := p.store(t, db)
	db.SetMaxIdleConns(0) // idle connections of the restarted server would fail
	p.Standby()
	errs := callEach(t.Context(), s)
	for _, read := range []string{"Lookup", "Get", "List", "Count"} {
		allFail(t, map[string]error{read: errs[read]}, "a standby lags")
		delete(errs, read)
	}
	allFail(t, errs, "read-only transaction")
	err := newStore(t, p.dialect, testkit.OpenDB(t, p.driver, p.name()), nil).Migrate(t.Context())
	allFail(t, map[string]error{"Migrate": err}, "the server is a standby")
	testkit.ExecuteOn(t, p.admin, "SELECT pg_promote()")
	recovered(t, s, had)
}

// a pool for reads that leads to another server is refused, even if the database
// has the same name there.
func readsElsewhere(t *testing.T, p *private) {
	reads := testkit.OpenDB(t, p.driver, p.name())
	p.store(t, reads)
	o := &sqlstore.Options{Reads: reads}
	err := newStore(t, p.dialect, p.database.open(t), o).Migrate(t.Context())
	allFail(t, map[string]error{"Migrate": err}, "Options.Reads leads to another")
}

// readOnlyMySQL forbids writes except by administrators, as on a replica.
//
// a replica may return old data, so reads fail too.
func readOnlyMySQL(t *testing.T, p *private) {
	_, had := p.store(t, testkit.OpenDB(t, p.driver, p.name()))
	testkit.ExecuteOn(t, p.admin, "CREATE USER clerk@localhost")
	testkit.ExecuteOn(t, p.admin, "GRANT SELECT, INSERT, UPDATE ON keys_of_test.* TO clerk@localhost")
	testkit.ExecuteOn(t, p.admin, "SET GLOBAL read_only = 1")
	config := parsedMySQL(p.name())
	config.User = "clerk"
	clerk := newStore(t, p.dialect, testkit.OpenDB(t, p.driver, config.FormatDSN()), nil)
	errs := callEach(t.Context(), clerk)
	for _, read := range []string{"Lookup", "Get", "List", "Count"} {
		allFail(t, map[string]error{read: errs[read]}, "@@read_only is on")
		delete(errs, read)
	}
	allFail(t, errs, "--read-only")
	testkit.ExecuteOn(t, p.admin, "SET GLOBAL read_only = 0")
	recovered(t, clerk, had)
}
