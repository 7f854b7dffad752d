package cluster_test

import (
	"encoding/json"
	"time"
)

// A setup configures an instance and the addresses of its servers.
type setup struct {
	DSN       string // of the store
	Bus       string // none, redis or notify
	Listen    string // the data source name for LISTEN
	Redis     string // the address
	Namespace string
	Shared    bool
	Plans     bool // whether owners need a plan

	CacheTTL, NegativeTTL, StaleIfError, CallTimeout time.Duration
}

const (
	noBus     = "none"
	redisBus  = "redis"
	notifyBus = "notify"
)

// A request is a line that an instance reads. Replies come in any order.
type request struct {
	ID   int
	Verb string
	Args json.RawMessage `json:",omitempty"`
}

// A reply is a line that an instance writes.
type reply struct {
	ID     int
	Error  string          `json:",omitempty"`
	Result json.RawMessage `json:",omitempty"`
}

// An op is the arguments of a Manager's call.
type op struct {
	Owner, Key, Token string
}

// A done is the result of an op. Times are the instance's, in Unix nanoseconds. All
// instances use the machine's clock.
type done struct {
	Answer     string
	Begin, End int64
	Key, Token string // ID and token of a new key
}

// A status holds figures of an instance.
type status struct {
	BusUp      bool
	Reads      int64 // look-ups of the store since the start
	Goroutines int
	Heap       uint64 // bytes in use after a garbage collection
}
