package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A process is a running instance.
type process struct {
	name, url string
	cmd       *exec.Cmd
	in        io.Closer
}

// start starts this program again, as an instance.
func (s setup) start(ctx context.Context, name, secret string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-postgres", s.postgres, "-redis", s.redis, "-bus", s.bus)
	cmd.Env = append(os.Environ(), secretVariable+"="+secret)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("instance %s did not start", name)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop closes the instance's standard input, so that it shuts down, and waits for it.
func (p *process) stop() {
	p.in.Close()
	_ = p.cmd.Wait()
}
