//go:build !unix

package testkit

import (
	"errors"
	"syscall"
)

// Elsewhere no server is started: the environment has to name one.
const supported = false

var errUnsupported = errors.New("testkit: not on this system")

func attributes(string) (*syscall.SysProcAttr, error) { return nil, errUnsupported }

func newFolder(string) (string, error) { return "", errUnsupported }

func killTree(int) {}
