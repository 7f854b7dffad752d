package testkit

import (
	"fmt"
	"io"
	"os/exec"
)

// A keeper is a shell that ends a server when the test process is gone, be it
// by SIGKILL. It reads from a pipe whose other end only the test process has,
// and which the system closes with that one.
type keeper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// Each line is the number of the process to end, which leads a group, or empty
// while there is none. PostgreSQL's processes each lead a group of their own.
const keep = `
folder=$1 quit=$2
while read -r pid; do last=$pid; done
if [ -n "$last" ]; then
	kill -s "$quit" -- "-$last"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		kill -s 0 -- "-$last" || break
		sleep 0.1
	done
	kill -s STOP -- "-$last" && pkill -KILL -P "$last"
	kill -s KILL -- "-$last"
fi
for i in 1 2 3 4 5; do
	rm -rf -- "$folder" && break
	sleep 1
done`

// newKeeper starts a keeper of what will run in the folder. The signal is the
// one that a server ends by at once.
func newKeeper(folder, signal string) (*keeper, error) {
	k := &keeper{cmd: exec.Command("/bin/sh", "-c", keep, "sh", folder, signal)}
	// It survives when the group of the test process is killed, and may remove
	// everything in the folder.
	var err error
	if k.cmd.SysProcAttr, err = attributes(""); err != nil {
		return nil, err
	}
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("testkit: %w", err)
	}
	return k, nil
}

func (k *keeper) watch(pid int) { fmt.Fprintln(k.in, pid) }

// forget makes the keeper end nothing: the number may soon be another's.
func (k *keeper) forget() { fmt.Fprintln(k.in) }

// end lets the keeper do its work, and returns when it is done.
func (k *keeper) end() {
	k.in.Close()
	k.cmd.Wait()
}
