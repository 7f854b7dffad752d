//go:build !unix

package testkit

import (
	"errors"
	"syscall"
)

// On other systems no server is started: the environment must name one.
const supported = false

var errUnsupported = errors.New("testkit: not on this system")

func attributes(string) (*syscall.SysProcAttr, error) { return nil, errUnsupported }

func newFolder(string) (string, error) { return "", errUnsupported }

func killTree(int) {}
