//go:build unix

package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

func supported() error { return nil }

// watch starts a server and waits for a line, or for the end of the test
// process, which ends its input. Then it ends the server, and removes the
// folder unless the line says to keep it. The server holds descriptor 3 open
// for as long as one of its processes lives.
const watch = `trap '' HUP INT TERM
folder=$1 signal=$2; shift 2
"$@" </dev/null >>"$folder/log" 2>&1 &
exec 3>&-
echo $!
read -r answer
kill -s "$signal" $! 2>/dev/null
wait $!
[ "$answer" = keep ] || rm -rf "$folder"`

// A process is a server and the shell that watches over it.
type process struct {
	watcher *exec.Cmd
	in      io.WriteCloser
	pid     int
	gone    chan struct{} // closed when no process of the server lives
}

// launch starts the server as another user if this one is root.
func (k *kind) launch(command []string, folder string) (*process, error) {
	account, err := k.account()
	if err != nil {
		return nil, err
	}
	alive, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	p := &process{gone: make(chan struct{})}
	p.watcher = exec.Command("sh", append([]string{"-c", watch, "sh", folder, k.signal}, command...)...)
	p.watcher.Dir, p.watcher.Env = folder, environment(folder)
	p.watcher.ExtraFiles = []*os.File{held}
	p.watcher.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true} // a Ctrl-C is for the tests
	if err := p.begin(); err != nil {
		alive.Close()
		return nil, err
	}
	go func() {
		io.Copy(io.Discard, alive)
		alive.Close()
		close(p.gone)
	}()
	return p, nil
}

func (p *process) begin() (err error) {
	if p.in, err = p.watcher.StdinPipe(); err != nil {
		return err
	}
	out, err := p.watcher.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.watcher.Start(); err != nil {
		return err
	}
	if _, err := fmt.Fscan(out, &p.pid); err != nil {
		return errors.Join(err, p.in.Close(), p.watcher.Wait())
	}
	return nil
}

// kill ends the server as a crash would, and keeps its folder.
func (p *process) kill() error {
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.gone
	_, err := io.WriteString(p.in, "keep\n")
	return errors.Join(err, p.in.Close(), p.watcher.Wait())
}

// stop ends the server, and its folder goes.
func (p *process) stop() {
	p.in.Close()
	p.watcher.Wait()
}

// once runs a command to its end.
func (k *kind) once(command []string, folder string) error {
	account, err := k.account()
	if err != nil {
		return err
	}
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.Env = folder, environment(folder)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// give makes the folder the server's.
func (k *kind) give(folder string) error {
	account, err := k.account()
	if err != nil || account == nil {
		return err
	}
	return os.Chown(folder, int(account.Uid), int(account.Gid))
}

// account is whom the server runs as; nil is whoever runs the tests.
// PostgreSQL and MySQL refuse to run as root.
func (k *kind) account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range k.accounts {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
	}
	return nil, fmt.Errorf("no user to run it as: want one of %v", k.accounts)
}

// environment leaves out what would turn the server elsewhere, PGDATA for one.
func environment(folder string) []string {
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin", "HOME=" + folder, "TMPDIR=" + folder, "LC_ALL=C"}
}
