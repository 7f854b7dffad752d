package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// creating is locked while this process has a new file open outside SQLite. Under
// POSIX, a process that closes a file loses all its locks on that file, including
// those of a Store that another goroutine has opened meanwhile.
var creating sync.Mutex

// create creates the file if it does not exist, and returns its absolute path. Only
// the owner may read and write a new file; SQLite gives the -wal and -shm files the
// same permissions.
func create(path string) (string, error) {
	if path == ":memory:" {
		return "", errors.New("the path is not a file; to keep keys in memory, use package memstore")
	}
	if strings.HasPrefix(path, "file:") {
		return "", errors.New("the path must not be a URI; write ./ in front of a file name that begins with file:, as in ./file:keys.db")
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
		err = fmt.Errorf("not a regular file: its mode is %s", info.Mode())
	}
	return err
}
