package testkit

import (
	"fmt"
	"io"
	"os/exec"
)

// A keeper is a shell that ends a server when the test process has ended, even by
// SIGKILL. It reads from a pipe that the system closes when the test process ends,
// since no other process has the other end.
type keeper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// keep is the script of a keeper. Each line of its input is the id of the process to end,
// which leads a process group, or empty if there is none. The processes of PostgreSQL are
// in separate groups.
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

// newKeeper starts a keeper for a server in the folder. The signal ends the server at
// once.
func newKeeper(folder, signal string) (*keeper, error) {
	k := &keeper{cmd: exec.Command("/bin/sh", "-c", keep, "sh", folder, signal)}
	// The keeper leads a process group of its own, so that it survives if the group of the test
	// process is killed. It runs as the user of the tests, who may remove everything in the
	// folder.
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

// unwatch keeps the keeper from ending a process, since the system may reuse the id.
func (k *keeper) unwatch() { fmt.Fprintln(k.in) }

// end makes the keeper end the server and remove the folder, and waits for it.
func (k *keeper) end() {
	k.in.Close()
	k.cmd.Wait()
}
