//go:build unix

package cluster_test

import (
	"os/exec"
	"syscall"
	"testing"
)

func needSignals(testing.TB) {}

// ownGroup puts the process into a new group, which does not get the signals of the tests.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func stopProcess(cmd *exec.Cmd) error     { return cmd.Process.Signal(syscall.SIGSTOP) }
func continueProcess(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGCONT) }
