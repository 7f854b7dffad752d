package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

var isolations = []string{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}

// An isolated database has connections with another default isolation level.
type isolated struct {
	database
	open func(t *testing.T, isolation string) *sql.DB
}

var isolatedServers = []isolated{
	{servers[0], isolatedPostgres},
	{servers[1], isolatedMySQL},
}

func isolatedPostgres(t *testing.T, isolation string) *sql.DB {
	t.Helper()
	db := testkit.OpenDB(t, "pgx", testkit.SetParam(testkit.UseSchema(t), "default_transaction_isolation", isolation))
	inForce(t, isolation, testkit.QueryValue[string](t, db, "SHOW transaction_isolation"))
	return db
}

func isolatedMySQL(t *testing.T, isolation string) *sql.DB {
	t.Helper()
	value := strings.ReplaceAll(isolation, " ", "-")
	name := isolationVariable(t)
	db := mysqlDB(t, name+"="+url.QueryEscape("'"+value+"'"))
	inForce(t, isolation, strings.ReplaceAll(testkit.QueryValue[string](t, db, "SELECT @@session."+name), "-", " "))
	return db
}

// isolationVariable returns the variable's name, which differs between MySQL 8 and older MariaDB.
func isolationVariable(t *testing.T) (name string) {
	t.Helper()
	var value string
	err := testkit.OpenDB(t, "mysql", testkit.UseMySQL(t)).QueryRowContext(t.Context(),
		"SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')").Scan(&name, &value)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func inForce(t *testing.T, want, got string) {
	t.Helper()
	if !strings.EqualFold(got, want) {
		t.Fatalf("isolation of the connection: got %s, want %s", got, want)
	}
}

// M-07: a limit holds exactly at every default isolation of the server.
func TestLimitHoldsAtEveryIsolation(t *testing.T) {
	t.Parallel()
	const limit = 5
	for _, server := range isolatedServers {
		for _, isolation := range isolations {
			t.Run(server.name+" "+isolation, func(t *testing.T) {
				t.Parallel()
				s := sqlStore(t, server.dialect, server.open(t, isolation))
				for round := range testkit.Scale(2, 100) {
					owner := fmt.Sprint("o", round)
					if n, err := create(t.Context(), s, owner, owner, 50, limit); n != limit || err != nil {
						t.Errorf("round %d: 50 creators at a limit of %d: got %d admitted, %v", round, limit, n, err)
					}
					if n := stored(t, s, owner); n != limit {
						t.Errorf("round %d: stored records: got %d, want %d", round, n, limit)
					}
				}
			})
		}
	}
}

// create inserts a record in each of n goroutines and counts the successful ones. It returns an
// error other than ErrLimit.
func create(ctx context.Context, s store.Store, owner, prefix string, n, limit int) (admitted int64, err error) {
	var successes atomic.Int64
	var failed atomic.Pointer[error]
	together(n, func(i int) {
		err := s.Insert(ctx, record(owner, fmt.Sprint(prefix, "-", i)), limit)
		switch {
		case err == nil:
			successes.Add(1)
		case !errors.Is(err, store.ErrLimit):
			failed.Store(&err)
		}
	})
	if e := failed.Load(); e != nil {
		err = *e
	}
	return successes.Load(), err
}

// together makes n calls concurrently.
func together(n int, call func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			call(i)
		})
	}
	close(begin)
	wg.Wait()
}

func stored(t *testing.T, s store.Store, owner string) int {
	t.Helper()
	page, err := s.List(t.Context(), store.Query{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Records)
}

const processLimit = 25

// createRole creates 200 records for the owner on the line.
func createRole(ctx context.Context, s *sqlstore.Store, line string) (string, error) {
	owner, prefix, _ := strings.Cut(line, " ")
	admitted, err := create(ctx, s, owner, prefix, 200, processLimit)
	return fmt.Sprint(admitted), err
}

// M-07: a limit is exact for several processes, which share only the database.
func TestLimitHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			dsn := server.dsn(t)
			s := sqlStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn))
			var ps []*process
			for range 3 {
				ps = append(ps, start(t, "create", server.driver, server.dialect, dsn))
			}
			for round := range testkit.Scale(1, 100) {
				owner := fmt.Sprint("o", round)
				if n := createInAll(t, ps, owner); n != processLimit {
					t.Errorf("round %d: 600 creators in 3 processes: got %d admitted, want %d", round, n, processLimit)
				}
				if n := stored(t, s, owner); n != processLimit {
					t.Errorf("round %d: stored records: got %d, want %d", round, n, processLimit)
				}
			}
		})
	}
}

func createInAll(t *testing.T, ps []*process, owner string) (admitted int) {
	t.Helper()
	for i, p := range ps {
		p.send(t, fmt.Sprintf("%s %s-p%d", owner, owner, i))
	}
	for _, p := range ps {
		n, err := strconv.Atoi(p.answer(t))
		if err != nil {
			t.Fatal(err)
		}
		admitted += n
	}
	return admitted
}

// Control: the tests above detect a store that counts before it inserts.
func TestLimitCountedBeforehandIsExceeded(t *testing.T) {
	t.Parallel()
	const limit = 5
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			broken := &hasty{Store: sqlStore(t, server.dialect, server.open(t)), counted: make(chan struct{})}
			broken.left.Store(limit + 1)
			n, err := create(t.Context(), broken, "o", "k", 50, limit)
			if err != nil || n <= limit {
				t.Errorf("a store that counts before it inserts admitted %d, %v, so the tests detect nothing", n, err)
			}
		})
	}
}

// A hasty store makes several counts before the first insert.
type hasty struct {
	store.Store
	left    atomic.Int64
	counted chan struct{}
}

func (s *hasty) Insert(ctx context.Context, r store.Record, limit int) error {
	page, err := s.List(ctx, store.Query{Owner: r.Owner})
	if err != nil {
		return err
	}
	if s.left.Add(-1) == 0 {
		close(s.counted)
	}
	<-s.counted
	if len(page.Records) >= limit {
		return store.ErrLimit
	}
	return s.Store.Insert(ctx, r, -1)
}
