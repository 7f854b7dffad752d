package cluster_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// patience bounds every wait that is not measured.
const patience = 30 * time.Second

// An instance is a process that runs a Manager.
type instance struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	keeper io.WriteCloser // kills the process if the tests end without doing so
	exited chan struct{}

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	dead    bool
}

// keep is a shell script that waits until the tests end, even if they are killed, and then kills
// the instance. A stopped instance cannot end by itself.
const keep = `read -r over || kill -s KILL "$1"`

var errDead = errors.New("the instance is gone")

// start returns when the instance is ready.
func start(s setup) (*instance, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	i := &instance{cmd: exec.Command(os.Args[0]), exited: make(chan struct{}), waiting: map[int]chan reply{}}
	i.cmd.Env = append(os.Environ(), roleVariable+"="+string(b))
	i.cmd.Stderr = os.Stderr
	if i.in, err = i.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := i.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	ready := i.expect(0)
	go i.read(out)
	if err := i.leash(); err != nil {
		i.kill()
		return nil, err
	}
	if err := i.await(ready, nil); err != nil {
		i.kill()
		return nil, fmt.Errorf("start an instance: %w", err)
	}
	return i, nil
}

// leash starts the keeper in its own process group, so that it outlives the tests.
func (i *instance) leash() (err error) {
	k := exec.Command("/bin/sh", "-c", keep, "sh", strconv.Itoa(i.cmd.Process.Pid))
	ownGroup(k)
	if i.keeper, err = k.StdinPipe(); err != nil {
		return err
	}
	if err := k.Start(); err != nil {
		return err
	}
	go k.Wait()
	return nil
}

func (i *instance) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var a reply
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = fmt.Sprintf("%v in %q", err, lines.Bytes())
		}
		i.mu.Lock()
		c := i.waiting[a.ID]
		delete(i.waiting, a.ID)
		i.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
	i.mu.Lock()
	i.dead = true
	for _, c := range i.waiting {
		close(c)
	}
	i.waiting = nil
	i.mu.Unlock()
	i.cmd.Wait()
	close(i.exited)
}

// expect returns the channel of the reply. Call it before sending the request.
func (i *instance) expect(id int) chan reply {
	c := make(chan reply, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dead {
		close(c)
	} else {
		i.waiting[id] = c
	}
	return c
}

func (i *instance) await(c chan reply, result any) error {
	select {
	case a, ok := <-c:
		switch {
		case !ok:
			return errDead
		case a.Error != "":
			return errors.New(a.Error)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-time.After(3*patience + soakTime):
		return errors.New("no reply from the instance")
	}
}

// soakTime is how much longer a call may take in a run with the full counts.
var soakTime = testkit.Scale(0, 15*time.Minute)

// call makes the instance run a verb and waits for the result.
func (i *instance) call(verb string, args, result any) error {
	b, err := json.Marshal(args)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.last++
	id := i.last
	i.mu.Unlock()
	c := i.expect(id)
	line, err := json.Marshal(request{id, verb, b})
	if err != nil {
		return err
	}
	if _, err := i.in.Write(append(line, '\n')); err != nil {
		return errDead
	}
	if err := i.await(c, result); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// kill sends SIGKILL and waits for the process to end. It may be called twice.
func (i *instance) kill() {
	i.cmd.Process.Kill()
	<-i.exited
	if i.keeper != nil {
		io.WriteString(i.keeper, "over\n")
		i.keeper.Close()
	}
}

func (i *instance) stop() error { return stopProcess(i.cmd) }

// resume continues the process and returns the time just before that.
func (i *instance) resume() (int64, error) {
	now := time.Now().UnixNano()
	return now, continueProcess(i.cmd)
}

// ask is like call, but fails the test if call returns an error.
func ask[R any](t testing.TB, i *instance, verb string, args any) (result R) {
	t.Helper()
	if err := i.call(verb, args, &result); err != nil {
		t.Fatal(err)
	}
	return result
}
