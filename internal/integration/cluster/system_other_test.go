//go:build !unix

package cluster_test

import (
	"errors"
	"os/exec"
	"testing"
)

// On other systems no process can be stopped, and no server is started.
func needSignals(t testing.TB) {
	t.Helper()
	t.Skip("processes cannot be stopped on this system")
}

var errUnsupported = errors.New("not on this system")

func ownGroup(*exec.Cmd) {}

func stopProcess(*exec.Cmd) error     { return errUnsupported }
func continueProcess(*exec.Cmd) error { return errUnsupported }
