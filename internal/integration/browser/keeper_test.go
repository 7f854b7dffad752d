package browser_test

import (
	"io"
	"os"
	"os/exec"
)

// A keeper is a shell that removes the browser's folder when the test process has ended, even
// by SIGKILL. It reads from a pipe whose other end only the test process has. The browser ends
// by itself, since its commands come over such a pipe too.
type keeper struct {
	folder string
	cmd    *exec.Cmd
	in     io.Closer
}

// The browser may still write files while it ends, which takes long on a busy machine,
// since it has the lowest priority.
const keep = `
trap '' HUP INT TERM
read -r _
i=0
while [ $i -lt 100 ]; do
	rm -rf -- "$1"
	sleep 0.5
	[ -e "$1" ] || exit 0
	i=$((i + 1))
done 2>/dev/null`

func newKeeper() (*keeper, error) {
	folder, err := os.MkdirTemp("", "keyhatch-browser-")
	if err != nil {
		return nil, err
	}
	k := &keeper{folder: folder, cmd: exec.Command("/bin/sh", "-c", keep, "sh", folder)}
	if k.in, err = k.cmd.StdinPipe(); err == nil {
		err = k.cmd.Start()
	}
	if err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return k, nil
}

// end waits until the folder is removed.
func (k *keeper) end() {
	k.in.Close()
	k.cmd.Wait()
}
