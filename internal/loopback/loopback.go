// Package loopback recognizes the addresses of the local machine. Secrets are sent
// to any other address only over TLS.
package loopback

import "net/netip"

// Is reports whether host is a loopback IP address or "localhost". Any other name
// is not loopback, even if it resolves to a loopback address now.
func Is(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
