package loopback

import "testing"

func TestIs(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "fe80::1%lo": false, "127.1": false, "[::1]": false,
		"localhost.example.com": false, "127.0.0.1.example.com": false, "localhost.": false, "db": false, "127.0.0.1:6379": false,
	} {
		if got := Is(host); got != want {
			t.Errorf("%q: got %t, want %t", host, got, want)
		}
	}
}
