package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// A client calls one instance repeatedly, mostly with new keys.
type client struct {
	*nemesis
	member int
	random *rand.Rand
}

func (c *client) run() {
	for !c.over() {
		c.step()
		time.Sleep(time.Duration(c.random.Int64N(int64(testkit.Scale(8*time.Millisecond, 16*time.Millisecond)))))
	}
}

func (c *client) step() {
	n := c.pick()
	if n < 0 || c.random.IntN(1000) < 15 {
		c.create()
		return
	}
	verb := "validate"
	switch p := c.random.IntN(1000); {
	case p < 8:
		verb = "revoke"
	case p < 12:
		verb = "rotate"
	case p < 18:
		verb = "disable"
	case p < 26:
		verb = "enable"
	}
	c.do(verb, n)
}

// pick returns a key's number. It prefers new keys, since old ones are revoked, and returns
// a negative number while there is none.
func (c *client) pick() int {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	n := len(c.keys)
	if n == 0 {
		return -1
	}
	return n - 1 - c.random.IntN(min(n, 25))
}

func (c *client) create() {
	owner := fmt.Sprintf("owner_%d", c.random.IntN(1_000_000))
	d, life := c.call("create", op{Owner: owner})
	if d.Answer == accepted {
		n := c.know(key{op{owner, d.Key, d.Token}})
		c.add(event{c.member, life, "create", n, d.Answer, d.Begin, d.End})
	}
}

func (c *client) do(verb string, n int) {
	k := c.key(n)
	d, life := c.call(verb, k.op)
	c.add(event{c.member, life, verb, n, d.Answer, d.Begin, d.End})
	if verb == "rotate" && d.Token != "" && (d.Answer == accepted || d.Answer == notPropagated) {
		c.know(key{op{k.Owner, d.Key, d.Token}})
	}
}

// call calls the current instance. If the instance ends before it replies, the call may take
// effect at any time.
func (c *client) call(verb string, o op) (done, int) {
	i, life := c.lives[c.member].now()
	d := done{Begin: time.Now().UnixNano(), End: never}
	if err := i.call(verb, o, &d); err != nil {
		return done{Begin: d.Begin, End: never}, life
	}
	return d, life
}
