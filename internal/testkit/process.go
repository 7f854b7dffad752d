package testkit

import (
	"io"
	"os"
	"os/exec"
	"time"
)

// A process runs a server, or a program that creates its data.
type process struct {
	cmd    *exec.Cmd
	log    *tail
	exited chan struct{} // closed when it and all its children have ended
	err    error         // its exit error; valid once exited is closed
}

// leash starts the program once the keeper knows the process id. If the test process
// ends before that, it starts nothing.
const leash = `read -r go && exec "$@" </dev/null`

func startProcess(k *keeper, user, folder string, command []string) (*process, error) {
	p := &process{log: &tail{}, exited: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", leash, "sh"}, command...)...)
	p.cmd.Dir = folder
	p.cmd.Env = environment(folder)
	// Both are the same pipe, which reaches its end when the last process that has it
	// ends. So exited waits for all of them.
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
	io.WriteString(in, "go\n") // if the process has ended already, Wait returns the reason
	go func() {
		p.err = p.cmd.Wait()
		k.unwatch()
		close(p.exited)
	}()
	return p, nil
}

// kill kills the process and its children, and waits until they have ended.
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

// environment returns the environment of a server, without variables that would change
// its settings or its language.
func environment(folder string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "LC_ALL=C"}
}
