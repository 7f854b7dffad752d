package databases_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// fillUp inserts records until the disk is full, and then makes room. The store must always have
// exactly the acknowledged records.
func fillUp(t *testing.T, s store.Store, had map[string]store.Record, cause string, makeRoom func()) {
	t.Helper()
	var acknowledged []store.Record
	var refused store.Record
	for i := 0; ; i++ {
		r := large(i)
		if err := s.Insert(t.Context(), r, -1); err != nil {
			allFail(t, map[string]error{"Insert": err}, cause)
			refused = r
			break
		}
		if acknowledged = append(acknowledged, r); len(acknowledged) == 10_000 {
			t.Fatal("the disk did not become full")
		}
	}
	t.Logf("full after %d records", len(acknowledged))
	held(t, s, acknowledged, refused)
	revokeWhileFull(t, s)
	makeRoom()
	held(t, s, acknowledged, refused)
	insertInTime(t, s, refused)
	recovered(t, s, had)
}

// insertInTime retries, since MariaDB frees dropped tables with a delay.
func insertInTime(t *testing.T, s store.Store, r store.Record) {
	t.Helper()
	testkit.Await(t, "Insert succeeds after there is room", func() bool { return s.Insert(t.Context(), r, -1) == nil })
}

// large returns a record of 8 KB that cannot be compressed.
func large(i int) store.Record {
	r := record("full", fmt.Sprint("f", i))
	var b strings.Builder
	for n := range 128 {
		fmt.Fprintf(&b, "%x", sha256.Sum256(fmt.Appendf(nil, "%d %d", i, n)))
	}
	r.Metadata = map[string]string{"text": b.String()}
	return r
}

func held(t *testing.T, s store.Store, acknowledged []store.Record, refused store.Record) {
	t.Helper()
	for _, r := range acknowledged {
		if got, err := s.Lookup(t.Context(), r.Digest); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%s was acknowledged, but is missing or changed: %v", r.ID, err)
		}
	}
	if _, err := s.Lookup(t.Context(), refused.Digest); err == nil {
		t.Errorf("%s was refused, but is stored", refused.ID)
	}
}

// M-12: while the disk is full, a revocation returns an error or is stored.
func revokeWhileFull(t *testing.T, s store.Store) {
	t.Helper()
	_, _, err := s.Revoke(t.Context(), "p", "p1", epoch, "leaked")
	if err != nil {
		outage(t, err, "Revoke while the disk is full")
	}
	r, get := s.Get(t.Context(), "p", "p1")
	if get != nil || r.RevokedAt.IsZero() != (err != nil) {
		t.Errorf("Revoke returned %v, but the record: got %+v, %v", err, r, get)
	}
}

// smallDisk returns a file system of two megabytes, and a function that enlarges it.
func smallDisk(t *testing.T) (folder string, grow func()) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder).CombinedOutput(); err != nil {
		t.Skipf("no permission to mount a file system: %s", out)
	}
	t.Cleanup(func() { command(t, "umount", folder) })
	return folder, func() { command(t, "mount", "-o", "remount,size=64m", folder) }
}

func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", args, err, out)
	}
}

func TestSQLiteDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("file system", func(t *testing.T) {
		folder, grow := smallDisk(t)
		s, err := sqlitestore.Open(t.Context(), filepath.Join(folder, "keys.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		fillUp(t, s, someKeys(t, s), "disk is full", grow)
	})
	t.Run("max_page_count", func(t *testing.T) {
		db := databases[0].open(t)
		s := sqlStore(t, sqlstore.SQLite, db)
		had := someKeys(t, s)
		testkit.ExecuteOn(t, db, "PRAGMA max_page_count = 500")
		fillUp(t, s, had, "disk is full", func() { testkit.ExecuteOn(t, db, "PRAGMA max_page_count = 100000") })
	})
}

// diskFullPostgres puts the tables on a small disk, as a tablespace. The write-ahead log is on
// another disk: without room for it the server stops, which another test covers.
func diskFullPostgres(t *testing.T, p *private) {
	folder, grow := smallDisk(t)
	data := testkit.QueryValue[string](t, p.admin, "SHOW data_directory")
	command(t, "chmod", "755", filepath.Dir(folder), filepath.Dir(filepath.Dir(folder)))
	command(t, "chown", "--reference="+data, folder)
	testkit.ExecuteOn(t, p.admin, "CREATE TABLESPACE small LOCATION '"+folder+"'")
	t.Cleanup(func() { testkit.ExecuteOn(t, p.admin, "DROP TABLESPACE small") })
	s, had := p.store(t, testkit.OpenDB(t, p.driver, testkit.SetParam(p.name(), "default_tablespace", "small")))
	fillUp(t, s, had, "No space left on device", grow)
}

func diskFullMySQL(t *testing.T, p *private) {
	db := testkit.OpenDB(t, p.driver, p.name())
	s, had := p.store(t, db)
	testkit.ExecuteOn(t, db, "CREATE TABLE ballast (b LONGBLOB) ENGINE = InnoDB")
	testkit.ExecuteOn(t, db, "INSERT INTO ballast VALUES (REPEAT('b', 4000000))")
	fillUp(t, s, had, "is full", func() { testkit.ExecuteOn(t, db, "DROP TABLE ballast") })
}
