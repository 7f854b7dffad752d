//go:build !unix

package testserver

import (
	"fmt"
	"runtime"
)

func supported() error { return fmt.Errorf("this package starts no servers on %s", runtime.GOOS) }

// A process is never made here.
type process struct{ gone chan struct{} }

func (k *kind) launch([]string, string) (*process, error) { return nil, supported() }
func (k *kind) once([]string, string) error               { return supported() }
func (k *kind) give(string) error                         { return supported() }
func (p *process) kill() error                            { return supported() }
func (p *process) stop()                                  {}
