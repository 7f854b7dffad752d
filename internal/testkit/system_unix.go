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

// attributes returns the attributes of a process that leads a group and, if the tests
// run as root, runs as the user.
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

// newFolder creates a folder. If the tests run as root, it belongs to the user.
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

// account returns the ids of a user, or of nobody if there is no such user.
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

// killTree kills a process, its group and its children, which are in separate groups in
// the case of PostgreSQL. It stops the process first, so that it starts no more children.
func killTree(pid int) {
	syscall.Kill(-pid, syscall.SIGSTOP)
	exec.Command("pkill", "-KILL", "-P", strconv.Itoa(pid)).Run() // without pkill, they end when they notice that it has ended
	syscall.Kill(-pid, syscall.SIGKILL)
}
