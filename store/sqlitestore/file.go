package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// creating is held while a new file is open outside SQLite. By the rules of
// POSIX a process that closes a file loses all locks that it has on it, those
// of a Store that another goroutine has opened meanwhile included.
var creating sync.Mutex

// create makes the file unless it is there, with permissions that SQLite gives
// to the files beside it as well, and returns its absolute path.
func create(path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errors.New("not a file; package memstore keeps keys in memory")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	creating.Lock()
	defer creating.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return path, regular(path)
	}
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("not a file but %s", info.Mode())
	}
	return err
}
