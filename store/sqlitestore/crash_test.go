package sqlitestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlitestore"
)

// An ack is a line that the crashing process writes after a call returned.
type ack struct {
	Op, Owner, ID string
	Successor     string    `json:",omitempty"` // of a rotation
	Ends          time.Time `json:",omitzero"`  // the rotated record's
	At            time.Time `json:",omitzero"`  // of a use
}

// steps are what each of the crashing process's workers does again and again,
// with a new id each time and no time in between, so that every kill comes
// while each kind of write is under way or waits for its turn.
var steps = map[string]func(context.Context, *sqlitestore.Store, string, string) error{
	"create": createStep,
	"revoke": revokeStep,
	"rotate": rotateStep,
	"expire": graceStep,
	"touch":  touchStep,
}

func crashRole(ctx context.Context, s *sqlitestore.Store) error {
	failed := make(chan error)
	for owner, step := range steps {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s-%s-%d", owner, os.Getenv("KEYHATCH_ROUND"), n)
				if err := step(ctx, s, owner, id); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// acknowledge writes a line at once: shorter than what a pipe takes whole.
func acknowledge(a ack) error {
	return json.NewEncoder(os.Stdout).Encode(a)
}

func createStep(ctx context.Context, s *sqlitestore.Store, owner, id string) error {
	err := s.Insert(ctx, record(owner, id), -1)
	return errors.Join(err, acknowledge(ack{Op: "create", Owner: owner, ID: id}))
}

func revokeStep(ctx context.Context, s *sqlitestore.Store, owner, id string) error {
	if err := createStep(ctx, s, owner, id); err != nil {
		return err
	}
	_, _, err := s.Revoke(ctx, owner, id, epoch, "leaked")
	return errors.Join(err, acknowledge(ack{Op: "revoke", Owner: owner, ID: id}))
}

func rotateStep(ctx context.Context, s *sqlitestore.Store, owner, id string) error {
	return rotateUntil(ctx, s, owner, id, epoch)
}

func graceStep(ctx context.Context, s *sqlitestore.Store, owner, id string) error {
	return rotateUntil(ctx, s, owner, id, epoch.Add(time.Hour))
}

func rotateUntil(ctx context.Context, s *sqlitestore.Store, owner, id string, ends time.Time) error {
	if err := createStep(ctx, s, owner, id); err != nil {
		return err
	}
	next := record(owner, id+"-next")
	_, _, err := s.Rotate(ctx, owner, id, next, ends)
	return errors.Join(err, acknowledge(ack{Op: "rotate", Owner: owner, ID: id, Successor: next.ID, Ends: ends}))
}

func touchStep(ctx context.Context, s *sqlitestore.Store, owner, id string) error {
	if err := createStep(ctx, s, owner, id); err != nil {
		return err
	}
	at := epoch.Add(time.Minute)
	err := s.Touch(ctx, []store.Use{{Digest: record(owner, id).Digest, At: at}})
	return errors.Join(err, acknowledge(ack{Op: "touch", Owner: owner, ID: id, At: at}))
}

// SIGKILL at random instants.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	began := time.Now()
	file := newFile(t)
	var acks []ack
	kills := count(8, 100)
	for round := range kills {
		acks = append(acks, crash(t, file, fmt.Sprint(round))...)
		s, err := sqlitestore.Open(t.Context(), file)
		if err != nil {
			t.Fatalf("the file does not open after kill %d: %v", round+1, err)
		}
		rows := checkAcknowledged(t, s, acks)
		checkWhole(t, rows)
		if extra := len(rows) - expectedRows(acks); extra < 0 || extra > len(steps)*(round+1) {
			t.Errorf("after kill %d there are %d rows that nobody was told of, want at most one per call under way", round+1, extra)
		}
		s.Close()
	}
	t.Logf("%d kills, %d acknowledged writes, %.1f s", kills, len(acks), time.Since(began).Seconds())
}

func crash(t *testing.T, file, round string) (acks []ack) {
	t.Helper()
	p := start(t, "crash", file, "KEYHATCH_ROUND="+round)
	fmt.Fprint(p.in, "!")
	var killed bool
	for p.out.Scan() {
		var a ack
		if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
			break // the line was cut off, so it was not said
		}
		acks = append(acks, a)
		if !killed {
			killed = true
			time.AfterFunc(rand.N(50*time.Millisecond), func() { p.Process.Kill() })
		}
	}
	if err := p.Wait(); p.ProcessState.Exited() {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return acks
}

// checkAcknowledged reads everything and checks what was acknowledged in it.
func checkAcknowledged(t *testing.T, s *sqlitestore.Store, acks []ack) map[string]store.Record {
	t.Helper()
	rows := map[string]store.Record{}
	for owner := range maps.Keys(steps) {
		for q := (store.Query{Owner: owner}); ; {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				rows[r.ID] = r
			}
			if q.After = page.Next; q.After.IsZero() {
				break
			}
		}
	}
	for _, a := range acks {
		if r := rows[a.ID]; r.ID == "" || !a.holds(r, rows) {
			t.Errorf("an acknowledged write is lost: %+v, found %+v", a, r)
		}
	}
	return rows
}

func (a ack) holds(r store.Record, rows map[string]store.Record) bool {
	switch a.Op {
	case "revoke":
		return r.RevokedAt.Equal(epoch) && r.RevokeReason == "leaked"
	case "rotate":
		over := r.ExpiresAt.Equal(a.Ends) || a.Ends.Equal(epoch) && r.RevokedAt.Equal(epoch)
		return over && r.ReplacedBy == a.Successor && rows[a.Successor].ID == a.Successor
	case "touch":
		return r.LastUsedAt.Equal(a.At)
	}
	return true
}

// checkWhole checks that no row is a half one, acknowledged or not, and that
// every rotation has both its halves.
func checkWhole(t *testing.T, rows map[string]store.Record) {
	t.Helper()
	successors := map[string]bool{}
	for _, r := range rows {
		if r.ReplacedBy != "" {
			successors[r.ReplacedBy] = true
			if rows[r.ReplacedBy].ID == "" {
				t.Errorf("%s was replaced by %s, which is not there", r.ID, r.ReplacedBy)
			}
			if r.RevokedAt.IsZero() && r.ExpiresAt.IsZero() {
				t.Errorf("%s was replaced and does not end", r.ID)
			}
		}
	}
	for _, r := range rows {
		want := record(r.Owner, r.ID)
		if isNext := len(r.ID) > 5 && r.ID[len(r.ID)-5:] == "-next"; isNext {
			if !successors[r.ID] {
				t.Errorf("%s replaces no record", r.ID)
			}
			old := record(r.Owner, r.ID[:len(r.ID)-5])
			want.Name, want.CreatedBy, want.Scopes, want.Metadata = old.Name, old.CreatedBy, old.Scopes, old.Metadata
		}
		got := r
		got.ReplacedBy, got.ExpiresAt, got.RevokedAt, got.RevokeReason, got.LastUsedAt = "", time.Time{}, time.Time{}, "", time.Time{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("a row is not whole: got %+v, want %+v", got, want)
		}
	}
}

func expectedRows(acks []ack) (n int) {
	for _, a := range acks {
		if a.Op == "create" || a.Op == "rotate" {
			n++
		}
	}
	return n
}
