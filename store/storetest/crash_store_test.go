package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A fileStore is a store in memory that also writes its records to a file: a line for
// each write, with the changed records. It has the given fault.
type fileStore struct {
	*memstore.Store
	file  *os.File
	fault string
	queue chan struct{} // a mutex that admits callers in order of arrival
	held  []byte        // a line that the fault "late" has not written yet
	stale bool          // the server was down, so its memory is lost
}

// downFile is the ending of a file next to the store's. The server is down while that
// file exists.
const downFile = ".down"

var errDown = errors.New("server is down")

func openFileStore(file, fault string) (*fileStore, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &fileStore{file: f, fault: fault, queue: make(chan struct{}, 1)}
	return s, s.load()
}

func fileOpener(fault string) Opener {
	return func(_ context.Context, file string) (store.Store, io.Closer, error) {
		s, err := openFileStore(file, fault)
		if err != nil {
			return nil, nil, err
		}
		return s, s.file, nil
	}
}

func (s *fileStore) load() error {
	text, err := os.ReadFile(s.file.Name())
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1 // a line that was cut off was not written
	if err := s.file.Truncate(int64(whole)); err != nil {
		return err
	}
	newest := map[string]store.Record{}
	for lines := json.NewDecoder(bytes.NewReader(text[:whole])); lines.More(); {
		var rs []store.Record
		if err := lines.Decode(&rs); err != nil {
			return err
		}
		for _, r := range rs {
			newest[r.ID] = r
		}
	}
	s.Store, s.held, s.stale = memstore.New(), nil, false
	for _, r := range newest {
		if err := s.Store.Insert(context.Background(), r, -1); err != nil {
			return err
		}
	}
	return nil
}

func (s *fileStore) checkUp() error {
	if _, err := os.Stat(s.file.Name() + downFile); err == nil {
		s.stale = true
		return errDown
	}
	if s.stale {
		return s.load()
	}
	return nil
}

func (s *fileStore) write(do func() ([]store.Record, error)) error {
	s.queue <- struct{}{}
	defer func() { <-s.queue }()
	if err := s.checkUp(); err != nil {
		return err
	}
	rs, err := do()
	if err != nil {
		return err
	}
	if err := s.save(rs); err != nil {
		return err
	}
	return s.checkUp() // if the server has crashed meanwhile, its reply is lost
}

func (s *fileStore) save(rs []store.Record) error {
	switch {
	case s.fault == "apart" && len(rs) > 1:
		for _, r := range rs[:len(rs)-1] {
			if err := s.put(r); err != nil {
				return err
			}
			time.Sleep(time.Millisecond) // makes a kill between the two writes likely
		}
		rs = rs[len(rs)-1:]
	case s.fault == "half":
		half := rs[0]
		half.Scopes, half.Metadata = nil, nil
		if err := s.put(half); err != nil {
			return err
		}
		time.Sleep(time.Millisecond) // as above
	}
	return s.put(rs...)
}

func (s *fileStore) put(rs ...store.Record) error {
	text, err := json.Marshal(rs)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if s.fault == "late" {
		text, s.held = s.held, text
	}
	_, err = s.file.Write(text)
	return err
}

func (s *fileStore) Insert(ctx context.Context, r store.Record, limit int) error {
	return s.write(func() ([]store.Record, error) {
		if s.fault == "flaky" && r.Digest[0] < 8 {
			return nil, errDown
		}
		if s.fault == "unlimited" {
			limit = -1
		}
		return []store.Record{r}, s.Store.Insert(ctx, r, limit)
	})
}

func (s *fileStore) Update(ctx context.Context, owner, id string, c store.Change) (r store.Record, err error) {
	err = s.write(func() ([]store.Record, error) {
		r, err = s.Store.Update(ctx, owner, id, c)
		return []store.Record{r}, err
	})
	return r, err
}

func (s *fileStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r store.Record, changed bool, err error) {
	err = s.write(func() ([]store.Record, error) {
		r, changed, err = s.Store.Revoke(ctx, owner, id, at, reason)
		return []store.Record{r}, err
	})
	return r, changed, err
}

func (s *fileStore) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) (rs []store.Record, err error) {
	err = s.write(func() ([]store.Record, error) {
		rs, err = s.Store.RevokeAll(ctx, owner, at, reason)
		return rs, err
	})
	return rs, err
}

func (s *fileStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, now store.Record, err error) {
	err = s.write(func() ([]store.Record, error) {
		old, now, err = s.Store.Rotate(ctx, owner, id, next, ends, limit)
		return []store.Record{now, old}, err
	})
	return old, now, err
}

func (s *fileStore) Touch(ctx context.Context, uses []store.Use) error {
	return s.write(func() (rs []store.Record, err error) {
		if err := s.Store.Touch(ctx, uses); err != nil {
			return nil, err
		}
		for _, u := range uses {
			r, err := s.Lookup(ctx, u.Digest)
			if err != nil {
				return nil, err
			}
			rs = append(rs, r)
		}
		return rs, nil
	})
}

// A listless store returns empty lists.
type listless struct{ store.Store }

func (listless) List(context.Context, store.Query) (store.Page, error) {
	return store.Page{}, nil
}

// An indexless store does not find digests.
type indexless struct{ store.Store }

func (indexless) Lookup(context.Context, store.Digest) (store.Record, error) {
	return store.Record{}, store.ErrNotFound
}
