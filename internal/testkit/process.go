package testkit

import (
	"io"
	"os"
	"os/exec"
	"time"
)

// A process is a server's, or that of a program that creates its data.
type process struct {
	cmd    *exec.Cmd
	log    *tail
	exited chan struct{} // closed when it is gone, and all that it started
	err    error         // why; valid once exited is closed
}

// leash starts the program once the keeper knows its number. Should the test
// process end before that, nothing is started.
const leash = `read -r go && exec "$@" </dev/null`

func startProcess(k *keeper, user, folder string, command []string) (*process, error) {
	p := &process{log: &tail{}, exited: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", leash, "sh"}, command...)...)
	p.cmd.Dir = folder
	p.cmd.Env = environment(folder)
	// Both are one pipe, which ends with the last process that has it. This is
	// how exited waits for all of them.
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = 10 * time.Second
	var err error
	if p.cmd.SysProcAttr, err = attributes(user); err != nil {
		return nil, err
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	k.watch(p.cmd.Process.Pid)
	io.WriteString(in, "go\n") // where nobody reads any more, Wait has the reason
	go func() {
		p.err = p.cmd.Wait()
		k.forget()
		close(p.exited)
	}()
	return p, nil
}

// kill returns when the process is gone, and all that it started.
func (p *process) kill() {
	if p.runs() {
		killTree(p.cmd.Process.Pid)
	}
	<-p.exited
}

func (p *process) runs() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// environment holds nothing that sets a server or its language.
func environment(folder string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "LC_ALL=C"}
}
