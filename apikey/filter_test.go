package apikey_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// namesOf returns the names on all pages of a filtered list.
func namesOf(t *testing.T, m *apikey.Manager, filter apikey.Filter, limit int) (names []string) {
	t.Helper()
	for p := (apikey.ListParams{Owner: "o", Filter: filter, Limit: limit}); ; {
		page, err := m.List(t.Context(), p)
		if err != nil {
			t.Fatalf("List with the filter %q: %v", filter, err)
		}
		for _, k := range page.Keys {
			names = append(names, k.Name)
			status := k.Status(time.Now())
			current := status == apikey.StatusActive || status == apikey.StatusDisabled
			if filter != apikey.FilterAll && current != (filter == apikey.FilterCurrent) {
				t.Errorf("the filter %q returned the key %s, which is %s", filter, k.Name, status)
			}
		}
		if p.Cursor = page.Next; p.Cursor == "" {
			return names
		}
	}
}

// Each key matches one of the two filters, and changes to FilterEnded at the instant of
// its expiry.
func TestListFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, yes := t.Context(), true
		m := newManager(t, memstore.New(), nil)
		made := map[string]string{}
		for name, expiry := range map[string]time.Duration{"active": 0, "disabled": 0, "revoked": 0, "expiring": time.Hour, "old": 0} {
			p := apikey.CreateParams{Owner: "o", Name: name}
			if expiry > 0 {
				p.ExpiresAt = time.Now().Add(expiry)
			}
			issued, err := m.Create(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			made[name] = issued.Key.ID
		}
		_, disable := m.Update(ctx, "o", made["disabled"], apikey.UpdateParams{Disabled: &yes})
		_, revoke := m.Revoke(ctx, "o", made["revoked"], "leaked")
		next, rotate := m.Rotate(ctx, "o", made["old"], 2*time.Hour)
		name := "new"
		_, rename := m.Update(ctx, "o", next.Key.ID, apikey.UpdateParams{Name: &name})
		if err := errors.Join(disable, revoke, rotate, rename); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			sleep time.Duration
			ended []string
		}{
			{0, []string{"revoked"}},
			{time.Hour - time.Microsecond, []string{"revoked"}},
			{time.Microsecond, []string{"expiring", "revoked"}},
			{time.Hour - time.Microsecond, []string{"expiring", "revoked"}},
			{time.Microsecond, []string{"expiring", "old", "revoked"}},
		} {
			time.Sleep(step.sleep)
			all := namesOf(t, m, apikey.FilterAll, 0)
			for _, limit := range []int{0, 1, 2} {
				current, ended := namesOf(t, m, apikey.FilterCurrent, limit), namesOf(t, m, apikey.FilterEnded, limit)
				both := slices.Sorted(slices.Values(slices.Concat(current, ended)))
				if slices.Sort(ended); !slices.Equal(ended, step.ended) || !slices.Equal(both, slices.Sorted(slices.Values(all))) {
					t.Errorf("%v later: got %q current and %q ended, want %q ended and the others of %q current", step.sleep, current, ended, step.ended, all)
				}
			}
		}
	})
}

func TestListUnknownFilter(t *testing.T) {
	st := &spyStore{Store: memstore.New(), before: func(op string) error { t.Errorf("the store was called: %s", op); return nil }}
	m := newManager(t, st, nil)
	for _, filter := range []apikey.Filter{"dead", "Live", "live ", "all"} {
		var invalid *apikey.InvalidError
		if _, err := m.List(t.Context(), apikey.ListParams{Owner: "o", Filter: filter}); !errors.As(err, &invalid) || invalid.Field != "Filter" {
			t.Errorf("List with the filter %q: got %v, want an InvalidError of Filter", filter, err)
		}
	}
}

// A filterStore replaces the filter of every List.
type filterStore struct {
	store.Store
	filter store.Filter
}

func (s *filterStore) List(ctx context.Context, q store.Query) (store.Page, error) {
	q.Filter = s.filter
	return s.Store.List(ctx, q)
}

// Invariant 13: a store that ignores the filter, for example an old one, counts as an outage. A
// current key must not be listed as ended, or an ended one as current.
func TestStoreIgnoresFilter(t *testing.T) {
	st := &filterStore{Store: memstore.New()}
	m := newManager(t, st, nil)
	current, ended := create(t, m, "o"), create(t, m, "o")
	if _, err := m.Revoke(t.Context(), "o", ended.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, requested := range []apikey.Filter{apikey.FilterAll, apikey.FilterCurrent, apikey.FilterEnded} {
		for _, used := range []store.Filter{store.FilterAll, store.FilterCurrent, store.FilterEnded} {
			st.filter = used
			page, err := m.List(t.Context(), apikey.ListParams{Owner: "o", Filter: requested})
			if requested == apikey.FilterAll || string(requested) == string(used) {
				if err != nil || len(page.Keys) == 0 {
					t.Errorf("List with the filter %q from a store that uses %q: got %+v, %v", requested, used, page, err)
				}
				continue
			}
			if !errors.Is(err, apikey.ErrUnavailable) || page.Keys != nil || page.Next != "" {
				t.Errorf("List with the filter %q from a store that uses %q: got %+v, %v, want ErrUnavailable", requested, used, page, err)
			}
		}
	}
	wantValid(t, m, current)
}
