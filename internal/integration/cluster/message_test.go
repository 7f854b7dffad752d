package cluster_test

import (
	"encoding/json"
	"time"
)

// A setup says what an instance is, and how it reaches its servers.
type setup struct {
	DSN       string // of the store
	Bus       string // none, redis or notify
	Listen    string // the data source name for LISTEN
	Redis     string // the address
	Namespace string
	Level     bool
	Plans     bool // that owners have to buy

	CacheTTL, NegativeTTL, StaleIfError, CallTimeout time.Duration
}

const (
	noBus     = "none"
	redisBus  = "redis"
	notifyBus = "notify"
)

// A request is a line that an instance reads. Requests are answered as they are
// done, not in their order.
type request struct {
	ID   int
	Verb string
	Args json.RawMessage `json:",omitempty"`
}

// A reply is a line that it writes.
type reply struct {
	ID     int
	Error  string          `json:",omitempty"`
	Result json.RawMessage `json:",omitempty"`
}

// An op is a call of a Manager: what to do with which key.
type op struct {
	Owner, Key, Token string
}

// A done is how it ended. Instants are those of the instance, in Unix
// nanoseconds; one machine has one clock.
type done struct {
	Answer     string
	Begin, End int64
	Key, Token string // of a new one
}

// A status is how an instance is.
type status struct {
	BusUp      bool
	Reads      int64 // look-ups of the store, so far
	Goroutines int
	Heap       uint64 // bytes in use after a collection
}
