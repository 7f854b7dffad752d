package pgstore

import (
	"strings"
	"testing"
)

func TestUnsuitableServerIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		s    server
		want string // empty: accepted
	}{
		{"oldest", server{version: 13_00_00, commit: "on"}, ""},
		{"new", server{version: 18_00_01, commit: "on"}, ""},
		{"waits for this disk alone", server{version: 15_00_20, commit: "local"}, ""},
		{"waits for a standby too", server{version: 15_00_20, commit: "remote_apply"}, ""},
		{"too old", server{version: 12_00_22, commit: "on"}, "the server is PostgreSQL 12.22, want 13 or later"},
		{"waits for nothing", server{version: 15_00_20, commit: "off"}, "synchronous_commit is off"},
	} {
		err := c.s.check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
