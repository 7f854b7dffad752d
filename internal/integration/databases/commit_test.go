package databases_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

var proxied = []struct {
	database
	commit string // text in the protocol message of a commit, but not in that of a begin with "read committed"
}{
	{servers[0], "commit\x00"},
	{servers[1], "\x03commit"},
}

// A write is a call that changes records of the owner o, who has the record k1.
type write struct {
	name string
	call func(context.Context, store.Store) error

	// happened reports whether the store has the whole change.
	happened func(map[string]store.Record) bool
}

var writes = []write{
	{"Insert", func(ctx context.Context, s store.Store) error {
		return s.Insert(ctx, record("o", "k3"), 5)
	}, func(rs map[string]store.Record) bool {
		return rs["k3"].Name == "name of k3"
	}},
	{"Update", func(ctx context.Context, s store.Store) error {
		name := "changed"
		r, err := s.Update(ctx, "o", "k1", store.Change{At: epoch, Name: &name, DisabledAt: &epoch})
		return whether(err, r.Name == name && r.DisabledAt.Equal(epoch))
	}, func(rs map[string]store.Record) bool {
		return rs["k1"].Name == "changed" && rs["k1"].DisabledAt.Equal(epoch)
	}},
	{"Revoke", func(ctx context.Context, s store.Store) error {
		r, changed, err := s.Revoke(ctx, "o", "k1", epoch, "leaked")
		return whether(err, changed && r.RevokedAt.Equal(epoch) && r.RevokeReason == "leaked")
	}, func(rs map[string]store.Record) bool {
		return rs["k1"].RevokedAt.Equal(epoch)
	}},
	{"RevokeAll", func(ctx context.Context, s store.Store) error {
		rs, err := s.RevokeAll(ctx, "o", epoch, "closed")
		return whether(err, len(rs) == 2 && rs[0].RevokedAt.Equal(epoch) && rs[1].RevokedAt.Equal(epoch))
	}, func(rs map[string]store.Record) bool {
		return rs["k1"].RevokedAt.Equal(epoch) && rs["k2"].RevokedAt.Equal(epoch)
	}},
	{"Rotate", func(ctx context.Context, s store.Store) error {
		old, now, err := s.Rotate(ctx, "o", "k1", record("", "k3"), epoch, -1)
		return whether(err, old.ReplacedBy == "k3" && old.RevokedAt.Equal(epoch) && now.Name == "name of k1")
	}, func(rs map[string]store.Record) bool {
		return rs["k1"].ReplacedBy == "k3" && rs["k1"].RevokedAt.Equal(epoch) && rs["k3"].Name == "name of k1"
	}},
}

// a commit whose result is lost has succeeded, and the store detects that.
func TestCommitWithoutReply(t *testing.T) {
	forEachWrite(t, func(t *testing.T, p proxy, commit string, s *sqlstore.Store, w write) {
		c := p.cutReply(commit)
		err := w.call(t.Context(), s)
		if !c.made.Load() {
			t.Fatal("no commit was cut")
		}
		if err != nil {
			t.Errorf("a committed write returned an error: %v", err)
		}
		if !w.happened(recordsOf(t, s, "o")) {
			t.Errorf("%s returned no error, but took no effect: got %+v", w.name, recordsOf(t, s, "o"))
		}
	})
}

// a commit that does not arrive returns an outage error, which says that the write may have
// happened.
func TestCommitThatDoesNotArrive(t *testing.T) {
	forEachWrite(t, func(t *testing.T, p proxy, commit string, s *sqlstore.Store, w write) {
		before := recordsOf(t, s, "o")
		c := p.cutMessage(commit)
		err := w.call(t.Context(), s)
		if !c.made.Load() {
			t.Fatal("no commit was cut")
		}
		outage(t, err, w.name+" whose commit did not arrive")
		if err != nil && !strings.Contains(err.Error(), "may have happened") {
			t.Errorf("the error does not say that the write may have happened: %v", err)
		}
		unchanged(t, s, before)
		if err := w.call(t.Context(), s); err != nil { // no lock remains
			t.Errorf("%s again: %v", w.name, err)
		}
	})
}

// if the server is silent, a write returns when its context ends, even if the driver waits
// longer.
func TestSilentServerHoldsNobody(t *testing.T) {
	forEachWrite(t, func(t *testing.T, p proxy, commit string, s *sqlstore.Store, w write) {
		c := p.silence(commit)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- w.call(ctx, s) }()
		testkit.Await(t, "the commit is held", c.made.Load)
		cancel()
		select {
		case err := <-ended:
			outage(t, err, w.name+" without a reply")
			if err == nil || !strings.Contains(err.Error(), "may have happened") {
				t.Errorf("the error does not say that the write may have happened: %v", err)
			}
		case <-time.After(15 * time.Second):
			t.Fatal("the call did not return after its context ended")
		}
	})
}

// a write that fails before its commit changes nothing.
func TestStatementWithoutReply(t *testing.T) {
	forEachWrite(t, func(t *testing.T, p proxy, commit string, s *sqlstore.Store, w write) {
		before := recordsOf(t, s, "o")
		c := p.cutReply("update")
		err := w.call(t.Context(), s)
		if !c.made.Load() {
			t.Fatal("no statement was cut")
		}
		outage(t, err, w.name+" that broke off")
		unchanged(t, s, before)
	})
}

func forEachWrite(t *testing.T, check func(t *testing.T, p proxy, commit string, s *sqlstore.Store, w write)) {
	t.Parallel()
	for _, server := range proxied {
		for _, w := range writes {
			t.Run(server.name+" "+w.name, func(t *testing.T) {
				t.Parallel()
				dsn := server.dsn(t)
				insert(t, sqlStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn)), record("o", "k1"), record("o", "k2"))
				p, dsn := startProxy(t, dsn)
				check(t, p, server.commit, newStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn), nil), w)
			})
		}
	}
}

// whether checks the result of a write: it returns err, or an error if the result is wrong.
func whether(err error, right bool) error {
	if err == nil && !right {
		return errors.New("the result differs from the write")
	}
	return err
}

func recordsOf(t *testing.T, s store.Store, owner string) map[string]store.Record {
	t.Helper()
	page, err := s.List(t.Context(), store.Query{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	rs := map[string]store.Record{}
	for _, r := range page.Records {
		rs[r.ID] = r
	}
	return rs
}

func unchanged(t *testing.T, s store.Store, before map[string]store.Record) {
	t.Helper()
	if after := recordsOf(t, s, "o"); !reflect.DeepEqual(after, before) {
		t.Errorf("a write that returned an outage changed records: got %+v, want %+v", after, before)
	}
}
