//go:build unix

package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

const supported = true

// attributes are those of a process that leads a group and runs as the user,
// if the tests run as root.
func attributes(name string) (*syscall.SysProcAttr, error) {
	a := &syscall.SysProcAttr{Setpgid: true}
	if name == "" || os.Getuid() != 0 {
		return a, nil
	}
	uid, gid, err := account(name)
	if err != nil {
		return nil, err
	}
	a.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	return a, nil
}

// newFolder is the user's, if the tests run as root.
func newFolder(name string) (string, error) {
	folder, err := os.MkdirTemp("", "keyhatch-")
	if err != nil || os.Getuid() != 0 {
		return folder, err
	}
	uid, gid, err := account(name)
	if err == nil {
		err = os.Chown(folder, int(uid), int(gid))
	}
	if err != nil {
		os.RemoveAll(folder)
		return "", err
	}
	return folder, nil
}

// account falls back on a user that is everywhere.
func account(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("testkit: %w", err)
	}
	id, err := strconv.ParseInt(u.Uid, 10, 64) // -2 is nobody on macOS
	if err != nil {
		return 0, 0, fmt.Errorf("testkit: %w", err)
	}
	group, err := strconv.ParseInt(u.Gid, 10, 64)
	return uint32(id), uint32(group), err
}

// killTree kills a process, its group and its children, which with PostgreSQL
// each lead a group of their own. Stopped, it makes no more of them.
func killTree(pid int) {
	syscall.Kill(-pid, syscall.SIGSTOP)
	exec.Command("pkill", "-KILL", "-P", strconv.Itoa(pid)).Run() // without pkill, they end when they see that it is gone
	syscall.Kill(-pid, syscall.SIGKILL)
}
